"""Compares our batches from memory with the usual path: torchvision's MNIST with ToTensor in a DataLoader.

    python -m benchmarks.data_path [--root FOLDER] [--rounds 3] [--steps 400]

The benchmark times the data alone, and a bare loop that trains the shipped VAE. Batches from memory, a DataLoader with 0 workers and one
with 2 workers take turns, and freed memory is kept as in `fit`. The benchmark prints images/s and ratios of medians.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Iterable

from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from datamodules import ImageDataModule
from datamodules.loader import TrainLoader
from lit_models.command.memory import keep_freed_memory
from lit_models.study.machine import matrix_product_rate
from lit_models.vae import VAE

BATCH = 128


def usual(root: str, workers: int) -> DataLoader:
    images = MNIST(root, train=True, transform=ToTensor())
    return DataLoader(images, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def images_per_second(batches: Iterable[list[Tensor]], steps: int, model: VAE | None) -> float:
    """Images/s from the second batch on, so that the start of the workers is not counted."""
    adam = None if model is None else model.configure_optimizers()["optimizer"]
    start = 0.0
    for number, batch in enumerate(itertools.islice(batches, steps + 1)):
        if number == 1:
            start = time.perf_counter()
        if model is not None and adam is not None:
            model.training_step(batch, number).backward()
            adam.step()
            adam.zero_grad()
    return steps * BATCH / (time.perf_counter() - start)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--root", default=os.environ.get("MNIST_ROOT", "data"))
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=400)
    given = options.parse_args()
    keep_freed_memory()
    data = ImageDataModule("mnist", root=given.root, batch_size=BATCH)
    data.setup()
    paths = {"ours": data.train_dataloader(), **{f"usual, {n} workers": usual(given.root, n) for n in (0, 2)}}
    vae = VAE()
    vae.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    print(f"{matrix_product_rate():.0f} GFLOP/s in matrix products")
    for what, model in (("data alone", None), ("the VAE", vae)):
        rates: dict[str, list[float]] = {name: [] for name in paths}
        for _ in range(given.rounds):
            for name, batches in paths.items():
                if isinstance(batches, TrainLoader):
                    batches.set_epoch(batches.epoch + 1)  # otherwise the loader resumes where the last round stopped, and ends early
                time.sleep(0.5)  # workers of the previous path still fetch for a while
                rates[name].append(images_per_second(batches, given.steps, model))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        for name, rate in medians.items():
            print(f"{what}, {name}: {rate:.0f} images/s, ours is {medians['ours'] / rate:.2f} times as fast")


if __name__ == "__main__":
    main()
