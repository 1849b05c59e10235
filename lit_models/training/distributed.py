"""Values over all processes of a training; a single process has its own."""

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
