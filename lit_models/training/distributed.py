"""What several processes have together; by itself a process has its own."""

from torch import Tensor
from torch import distributed as dist


def together() -> bool:
    """Whether there are several, which can exchange tensors."""
    return dist.is_available() and dist.is_initialized()


def over_processes(value: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> Tensor:
    """The sum of every process's own, in place; or what `op` says."""
    if together():
        dist.all_reduce(value, op=op)
    return value
