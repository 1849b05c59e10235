"""Memory that is kept between training steps on a CPU.

glibc returns each block above some hundred kilobytes to the system when it is freed. A training step frees and asks for hundreds of such
blocks, which the system has to clear page by page each time: 2,062 page faults and a sixth of the time of a step of `ae`
(`python -m benchmarks.memory`).
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory, up to 2 GiB, for later requests. Without glibc it does nothing."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
