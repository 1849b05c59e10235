"""Batches from one uint8 tensor, with a state, so that a run can be resumed within an epoch.

A batch, its images and its binarisation, is a function of (seed, epoch, position). Lightning saves `state_dict` with every checkpoint and
restores it on resume.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from datamodules.split import Split


def seeded(*numbers: int) -> torch.Generator:
    """A generator whose seed depends on all the numbers; the constant is that of Knuth's multiplicative hash."""
    seed = 0
    for number in numbers:
        seed = (seed * 2654435761 + number + 1) % 2**63
    return torch.Generator().manual_seed(seed)


def as_images(raw: Tensor, binarize_with: torch.Generator | None = None) -> Tensor:
    """uint8 (B, C, H, W) to floats in [0, 1]; with a generator each pixel is 1 with the probability of its grey value."""
    images = raw.float().div_(255)
    if binarize_with is None:
        return images
    return (torch.rand(images.shape, generator=binarize_with).to(images.device) < images).float()


def batch_of(images: Tensor, labels: Tensor | None) -> list[Tensor]:
    """`[images, labels]`, or `[images]` if there are no labels."""
    return [images] if labels is None else [images, labels]


class TrainLoader:
    """Shuffled batches with every image `passes` times per epoch, except a remainder that the processes cannot share evenly.

    `batch_size` is the number of images per optimiser step over all processes: rank r takes rows r, r + world, ... of each batch.
    """

    def __init__(
        self, data: Split, batch_size: int, seed: int, binarize: str = "none", passes: int = 1, rank: int = 0, world: int = 1
    ) -> None:
        if batch_size % world:
            raise ValueError(f"batch_size is shared by all processes and must be a multiple of {world}, got {batch_size}")
        if data.n < world:
            raise ValueError(f"{data.n} training images are too few for {world} processes")
        self.data, self.batch_size, self.seed, self.binarize = data, batch_size, seed, binarize
        self.passes = passes
        self.rank, self.world = rank, world
        self.epoch = self.position = 0
        # Lightning tells a loader its epoch through `sampler`, and must find no sampler that it could replace.
        self.sampler, self.batch_sampler = self, None

    def __len__(self) -> int:
        return math.ceil(self.passes * self.data.n // self.world * self.world / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def __iter__(self) -> Iterator[list[Tensor]]:
        # A generator: nothing is read before the first batch is asked for, so that a state loaded meanwhile counts.
        if self.position == len(self):  # the end of an epoch is the start of the next
            self.set_epoch(self.epoch + 1)
        n, shuffle = self.data.n, seeded(self.seed, self.epoch)
        order = torch.cat([torch.randperm(n, generator=shuffle) for _ in range(self.passes)])
        order = order[: len(order) // self.world * self.world]
        while self.position < len(self):
            rows = order[self.position * self.batch_size :][: self.batch_size]
            noise = seeded(self.seed, self.epoch, self.position) if self.binarize == "dynamic" else None
            self.position += 1
            rows = rows.to(self.data.images.device)
            # The batch is binarised as a whole and then shared: the noise does not depend on the number of processes.
            raw, labels = self.data.take(rows)
            images = as_images(raw, noise)
            if self.world > 1:
                images, labels = images[self.rank :: self.world], None if labels is None else labels[self.rank :: self.world]
            yield batch_of(images, labels)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in self._identity().items():
            if state[name] != value:
                raise ValueError(
                    f"the checkpoint's run read its training images with {name}={state[name]}, this one has {name}={value}:"
                    f" resume with {name}={state[name]}, or start anew"
                )
        self.epoch, self.position = state["epoch"], state["position"]

    def _identity(self) -> dict[str, int]:
        return {"n": self.data.n, "passes": self.passes, "batch_size": self.batch_size, "seed": self.seed}


class EvalLoader:
    """All images in order, each once over all processes, in parts of nearly equal size that are empty on no rank."""

    def __init__(self, data: Split, batch_size: int, rank: int = 0, world: int = 1) -> None:
        if data.n < world:
            raise ValueError(f"{data.n} images are too few for {world} processes")
        self.data, self.rank, self.world = data, rank, world
        self.parts = max(1, min(math.ceil(data.n / batch_size), data.n // world))

    def __len__(self) -> int:
        return self.parts

    def __iter__(self) -> Iterator[list[Tensor]]:
        rows = torch.arange(self.data.n, device=self.data.images.device)
        for part in rows.tensor_split(self.parts):
            mine = part[self.rank :: self.world]
            raw, labels = self.data.take(mine)
            yield batch_of(as_images(raw), labels)
