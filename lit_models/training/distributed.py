"""Values over all processes of a training; a single process has its own."""

import torch
from torch import Tensor
from torch import distributed as dist


def is_distributed() -> bool:
    """Whether there are several processes that can exchange tensors."""
    return dist.is_available() and dist.is_initialized()


def reduce_over_processes(value: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
    """The sum over all processes, in place, or another reduction `op`."""
    if is_distributed():
        dist.all_reduce(value, op=op)
    return value


def gathered(value: Tensor) -> Tensor:
    """The rows of all processes, one process after the other, without gradients. All processes have as many rows."""
    if not is_distributed():
        return value
    parts = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, value.contiguous())
    return torch.cat(parts)
