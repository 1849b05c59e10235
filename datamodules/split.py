"""A part of a data set: its own images, or rows of a larger array that stays where it is."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 2**24  # bytes of images that are looked at in one go


class Split(NamedTuple):
    """Image i of the split is `images[i]`, or `images[rows[i]]` if there are rows."""

    images: Tensor  # (N, C, H, W) uint8, in memory or mapped from a file
    labels: Tensor | None  # one integer per image of the split, or None for images without labels
    rows: Tensor | None = None  # which of `images` belong to the split, or None for all

    @property
    def n(self) -> int:
        return len(self.images) if self.rows is None else len(self.rows)

    @property
    def nbytes(self) -> int:
        return self.n * self.images[:1].numel()

    def select(self, rows: Tensor) -> "Split":
        """Some images of the split. Nothing but their labels is copied."""
        labels = None if self.labels is None else self.labels[rows]
        return Split(self.images, labels, rows if self.rows is None else self.rows[rows])

    def copied(self) -> "Split":
        """The same images in memory of their own."""
        return self if self.rows is None else Split(self.images.index_select(0, self.rows), self.labels)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """uint8 images and int64 labels at these places of the split."""
        places = rows if self.rows is None else self.rows[rows]
        return self.images.index_select(0, places), None if self.labels is None else self.labels[rows].long()

    def chunks(self) -> Iterator[Tensor]:
        """All images in order, a few MB at a time."""
        step = max(1, CHUNK // self.images[:1].numel())
        for start in range(0, self.n, step):
            stop = min(start + step, self.n)
            yield self.images[start:stop] if self.rows is None else self.images.index_select(0, self.rows[start:stop])

    def to(self, device: torch.device) -> "Split":
        """The split on a device; images that are mapped from a file, or too many for the device, stay where they are."""
        if self.rows is not None or not _has_room(device, self.nbytes):
            return self
        return Split(self.images.to(device), None if self.labels is None else self.labels.to(device))


def _has_room(device: torch.device, nbytes: int) -> bool:
    """Whether the images take at most half of the free memory of a GPU."""
    return device.type != "cuda" or nbytes <= torch.cuda.mem_get_info(device)[0] / 2


def sha256_of(given: dict[str, Split]) -> str:
    """The sha256 of all images and labels of a data set, before they are split or limited."""
    digest = hashlib.sha256()
    for split in given.values():
        for images in split.chunks():
            digest.update(images.contiguous().numpy().data)
        if split.labels is not None:
            digest.update(split.labels.contiguous().numpy().data)
    return digest.hexdigest()


def pixel_variance_of(split: Split) -> float:
    r"""The variance of all pixels in [0, 1] over all images, rounded to four decimals.

    A histogram of the 256 values gives it exactly: :math:`\sum_v p_v v^2 - (\sum_v p_v v)^2` in float64.
    """
    counts = torch.zeros(256, dtype=torch.int64)
    for images in split.chunks():
        counts += torch.bincount(images.flatten(), minlength=256)
    share, values = counts.double() / counts.sum(), torch.arange(256, dtype=torch.float64) / 255
    return round(float((share * values.square()).sum() - (share * values).sum().square()), 4)
