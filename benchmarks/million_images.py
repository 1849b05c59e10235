"""Measures what an epoch of a million images costs, in memory and memory-mapped.

    python -m benchmarks.million_images [--images 1000000] [--batch 128] [--folder FOLDER]

The benchmark writes a .npy file of random 28 x 28 images. A process for each way reads it by the data module and runs through one epoch of
shuffled batches. The benchmark prints seconds and images/s of the epoch, and by how much the process grew: its own memory (anonymous
pages), and the pages of the file, which the system takes back when it needs them.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from datamodules import ImageDataModule, storage

WAYS = ("in memory", "memory-mapped")


def write(file: Path, n: int) -> None:
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=(n, 28, 28))
    drawn = np.random.default_rng(0)
    for start in range(0, n, 10_000):
        array[start : start + 10_000] = drawn.integers(0, 256, array[start : start + 10_000].shape, dtype=np.uint8)
    array.flush()


def megabytes() -> dict[str, float]:
    """Own memory, pages of files, and the peak of both together."""
    status = Path("/proc/self/status").read_text()
    return {name: int(re.findall(rf"{name}:\s+(\d+)", status)[0]) / 1024 for name in ("RssAnon", "RssFile", "VmHWM")}


def epoch(file: Path, way: str, batch: int) -> None:
    storage.MEMORY_SHARE = 1.0 if way == "in memory" else 0.0
    before = megabytes()
    start = time.perf_counter()
    data = ImageDataModule(str(file), batch_size=batch)
    data.setup()
    read = time.perf_counter() - start
    loader = data.train_dataloader()
    start = time.perf_counter()
    n = sum(len(images) for (images,) in loader)
    seconds = time.perf_counter() - start
    after = megabytes()
    own, pages, peak = (after[name] - before[name] for name in ("RssAnon", "RssFile", "VmHWM"))
    print(
        f"{way:14} read, checked and split in {read:.1f} s; epoch of {n:,} images {seconds:.1f} s, {n / seconds:,.0f} images/s;"
        f" own memory +{own:.0f} MB, pages of the file +{pages:.0f} MB, peak +{peak:.0f} MB"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=1_000_000)
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--folder", type=Path, help="where the file is written; default: a temporary folder")
    options.add_argument("--only", choices=WAYS, help="one process's part, on FOLDER/million.npy")
    given = options.parse_args()
    if given.only:
        return epoch(given.folder / "million.npy", given.only, given.batch)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        write(Path(folder) / "million.npy", given.images)
        for way in WAYS:
            words = ["--only", way, "--folder", folder, "--batch", str(given.batch)]
            subprocess.run([sys.executable, "-m", "benchmarks.million_images", *words], check=True)


if __name__ == "__main__":
    main()
