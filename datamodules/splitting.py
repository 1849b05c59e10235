"""From a data set to its three splits: validation images kept back, limited, binarised."""

import torch
from torch import Generator, Tensor

from datamodules import storage
from datamodules.loader import as_images, seeded
from datamodules.split import Split

N_VAL = 5000  # validation images at most


def split_for_validation(given: dict[str, Split], seed: int, at_least: int = 0) -> dict[str, Split]:
    """ "val", "train" and "test". A tenth of the training images becomes "val" if none are given, chosen by the seed."""
    train = given["train"]
    if "val" in given:
        return {"val": given["val"], "train": train, "test": given["test"]}
    n_val = min(N_VAL, max(train.n // 10, at_least))
    order = torch.randperm(train.n, generator=seeded(seed, 0))
    return {"val": train.select(order[:n_val]), "train": train.select(order[n_val:]), "test": given["test"]}


def limited(split: Split, limit: int | None) -> Split:
    """The first `limit` images, in memory if they fit."""
    rows: Tensor = torch.arange(split.n)[:limit]
    chosen = split.select(rows)
    return chosen.copied() if chosen.nbytes <= storage.room() else chosen


def drawn(split: Split, binarize: str, name: str, generator: Generator) -> Split:
    """The split with each pixel drawn once, with the probability of its grey value, where `binarize` asks for that."""
    if binarize == "none" or (binarize == "dynamic" and name == "train"):
        return split
    if split.rows is not None:
        raise ValueError(
            f"expected images that fit into memory for binarize={binarize}\ngot {split.n:,} {name} images that are memory-mapped\n"
            "take binarize none, or a limit"
        )
    return Split((255 * as_images(split.images, generator)).to(torch.uint8), split.labels)
