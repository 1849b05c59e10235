"""The machine that a study runs on, and its speed: seconds cannot be compared without them."""

import time
from pathlib import Path

import torch


def machine() -> str:
    """The processor, its threads, and the rate at which it multiplies 2048 x 2048 matrices in float32."""
    return f"{_processor()}, {torch.get_num_threads()} threads, {matrix_product_rate():.0f} GFLOP/s in fp32 matrix products"


def matrix_product_rate(size: int = 2048, times: int = 5) -> float:
    """The rate of products of two `size` x `size` matrices in float32, in GFLOP/s."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    for _ in range(3):
        left @ right
    start = time.perf_counter()
    for _ in range(times):
        left @ right
    return times * 2 * size**3 / (time.perf_counter() - start) / 1e9


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
