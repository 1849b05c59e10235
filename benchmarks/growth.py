"""Measures how time and memory grow with images, codes of the codebook, kept codes, batch size and labels.

    python -m benchmarks.growth [--only NAME ...] [--plot benchmarks/growth.png]

Each size runs in a process of its own, on random images. The benchmark prints

- the seconds of a run: the median of runs over about two seconds, without the first if there are several;
- the peak of resident memory, above that after importing;
- the exponents of both: the slope of the logarithms from the middle size to the largest, which is 1 for proportional growth. Memory below
  20 MB is not counted.
"""

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from datamodules.loader import TrainLoader
from datamodules.sources import Split
from lit_models.ae import AE
from lit_models.anchored import AnchoredDecoder
from lit_models.command.memory import keep_freed_memory
from lit_models.evaluation.measure import nearest as nearest_distance
from lit_models.nn.clusters import Clusters
from lit_models.nn.pca import PCAEncoder
from lit_models.nn.quantiser import VectorQuantiser
from lit_models.nn.transformer import CodePrior
from lit_models.sampling.densities import fit_density
from lit_models.study.machine import matrix_product_rate

Action = Callable[[], object]
IMAGES, CODES = [1_000, 4_000, 16_000, 64_000, 256_000, 600_000], [64, 256, 1024, 4096, 8192]
UNITS = {"s": 0.0, "MB": 20.0}  # unit, and the least value that counts for the exponent
KEPT, BATCH, LABELS = [1_000, 2_500, 5_000, 10_000, 20_000], [32, 128, 512, 2048], [10, 100, 1_000, 10_000]


def data(n: int) -> Split:
    """`n` images: a thousand random ones, repeated."""
    some = torch.randint(256, (1_000, 1, 28, 28), dtype=torch.uint8)
    return Split(some.repeat(math.ceil(n / 1_000), 1, 1, 1)[:n], torch.arange(n, dtype=torch.uint8) % 10)


def floats(n: int) -> torch.Tensor:
    return data(n).images.float() / 255


def batches(n: int) -> Action:
    loader = TrainLoader(data(n), 128, seed=0)
    return lambda: sum(1 for _ in loader)


def training(batches: Iterable[list[torch.Tensor]]) -> Action:
    """An epoch of training the AE on `batches`."""
    model = AE()
    model.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    optimizer = model.configure_optimizers()["optimizer"]

    def epoch() -> None:
        for batch in batches:
            optimizer.zero_grad()
            model.training_step(batch, 0).backward()
            optimizer.step()

    return epoch


def prior(codes: int, labels: int) -> Action:
    """A training step of the code prior, forward and backward."""
    model, given = CodePrior(codes, 16, labels), torch.randint(codes, (128, 16))
    return lambda: model(given, torch.randint(labels, (128,))).logsumexp(dim=2).sum().backward()


def quantiser(codes: int) -> Action:
    model, vectors = VectorQuantiser(codes, 16), torch.randn(128, 16, 4, 4)
    model.update(vectors)

    def step() -> None:
        model.update(vectors)
        model.lookup(model.indices(vectors))

    return step


def density(name: str, n: int) -> Action:
    """Fit a density to n codes of 16 numbers, draw 1,000 codes, and compute the log-density of 5,000."""
    codes, labels, others = torch.randn(n, 16).tanh(), torch.arange(n) % 10, torch.randn(5_000, 16)

    def use() -> None:
        fitted = fit_density(name, codes, labels)  # type: ignore[arg-type]
        fitted.draw(1_000)
        fitted.log_density(others)

    return use


def clusters(k: int) -> Action:
    model, images = Clusters(k), floats(128)
    return lambda: model(images, torch.zeros(128, dtype=torch.long))


def matched(batch: int) -> Action:
    model, images = AnchoredDecoder(noise_assignment="matched"), floats(batch)
    model.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return lambda: model.training_step([images, torch.arange(batch) % 10], 0).backward()


def nearest(n: int) -> Action:
    samples, images = torch.rand(1_000, 1, 28, 28), floats(n)
    return lambda: nearest_distance(samples, images)


def pca(n: int) -> Action:
    images = floats(n)
    return lambda: PCAEncoder(3, whiten=False).fit(images)


SUBJECTS: dict[str, tuple[str, list[int], Callable[[int], Action]]] = {
    "an epoch of batches": ("images", IMAGES, batches),
    "an epoch of the AE": ("images", IMAGES, lambda n: training(TrainLoader(data(n), 128, seed=0))),
    "PCA fitted": ("images", IMAGES, pca),
    "1,000 nearest images": ("images", IMAGES, nearest),
    "step of the quantiser": ("codes of the codebook", CODES, quantiser),
    "step of the code prior": ("codes of the codebook", CODES, lambda codes: prior(codes, 10)),
    "gaussian": ("codes kept", KEPT, lambda n: density("gaussian", n)),
    "gmm": ("codes kept", KEPT, lambda n: density("gmm", n)),
    "class_gmm": ("codes kept", KEPT, lambda n: density("class_gmm", n)),
    "kde": ("codes kept", KEPT, lambda n: density("kde", n)),
    "step of the AE": ("batch", BATCH, lambda size: training([[floats(size), torch.arange(size) % 10]])),
    "step of the anchored decoder, matched": ("batch", BATCH, matched),
    "step of the prior, by labels": ("labels", LABELS, lambda labels: prior(256, labels)),
    "clusters of a batch": ("labels", LABELS, clusters),
}


def peak_of_memory() -> float:
    """Peak of resident memory since the last reset, in MB, from Linux's /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def measure(name: str, size: int) -> None:
    """Print the median seconds and the peak of memory in MB."""
    keep_freed_memory()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, which so far is that of importing
    imported = peak_of_memory()
    action, taken = SUBJECTS[name][2](size), list[float]()
    while not taken or (sum(taken) < 2 and len(taken) < 100):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    print(statistics.median(taken[1:] or taken), peak_of_memory() - imported)


def exponent(sizes: list[int], values: list[float], least: float) -> str:
    """Exponent of growth of the values above `least`. Smaller values are dominated by what all sizes need."""
    counted = [(size, value) for size, value in zip(sizes, values, strict=True) if value > least]
    if len(counted) < 2:
        return "does not grow"
    (size, value), (last_size, last) = counted[(len(counted) - 1) // 2], counted[-1]
    return f"n^{math.log(last / value) / math.log(last_size / size):.2f}"


def plot(found: dict[str, tuple[list[float], list[float]]], file: Path) -> None:
    from matplotlib.figure import Figure

    axes = list(dict.fromkeys(SUBJECTS[name][0] for name in found))
    figure = Figure(figsize=(4 * len(axes), 7), layout="constrained")
    for column, axis in enumerate(axes):
        for row, (unit, least) in enumerate(UNITS.items()):
            panel = figure.add_subplot(2, len(axes), row * len(axes) + column + 1, xscale="log", yscale="log", xlabel=axis, ylabel=unit)
            for name, values in found.items():
                if SUBJECTS[name][0] == axis:
                    sizes = SUBJECTS[name][1]
                    panel.plot(sizes, values[row], marker=".", label=f"{name}: {exponent(sizes, values[row], least)}")
            panel.legend(fontsize=7)
    figure.savefig(file, dpi=100)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", default=list(SUBJECTS), choices=list(SUBJECTS), metavar="NAME")
    options.add_argument("--plot", type=Path)
    options.add_argument("--size", type=int, help="one process's part, printed bare")
    given = options.parse_args()
    if given.size:
        return measure(given.only[0], given.size)
    print(f"{matrix_product_rate():.0f} GFLOP/s in matrix products")
    found: dict[str, tuple[list[float], list[float]]] = {}
    for name in given.only:
        axis, sizes, _ = SUBJECTS[name]
        rows = []
        for size in sizes:
            words = [sys.executable, "-m", "benchmarks.growth", "--only", name, "--size", str(size)]
            rows.append([float(word) for word in subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()])
        found[name] = seconds, megabytes = tuple(list(column) for column in zip(*rows, strict=True))
        print(f"{name}, {axis} {sizes[0]} to {sizes[-1]}")
        for values, (unit, least) in zip((seconds, megabytes), UNITS.items(), strict=True):
            print(f"    {', '.join(f'{value:.3g}' for value in values)} {unit}, {exponent(sizes, values, least)}", flush=True)
    if given.plot:
        plot(found, given.plot)


if __name__ == "__main__":
    main()
