"""Images of an array that lies in a stream of bytes, or in memory."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from datamodules.refusal import refusal
from datamodules.split import CHUNK
from datamodules.storage import as_tensor
from lit_models.contracts import ImageShape

FORMS = "an array N x H x W, N x H x W x C or N x C x H x W with 1 or 3 channels, uint8 or floats in [0, 1]"
UINT8 = np.dtype(np.uint8)


@dataclass
class ArrayPixels:
    """Args:
    open: Opens the bytes at their beginning; the array starts at `offset`.
    array: The array itself, where it is in memory or mapped.
    """

    path: Path
    array_shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], IO[bytes]] | None = None
    offset: int = 0
    array: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.n, self.shape = self.array_shape[0], layout(self.array_shape, self.path)
        if self.dtype.kind not in "buif":
            raise refusal(FORMS, f"an array of {self.dtype}", self.path, "save the pixels as uint8")

    def chunks(self) -> Iterator[Tensor]:
        size = int(np.prod(self.array_shape[1:]))
        step = max(1, CHUNK // (size * self.dtype.itemsize))
        for items in self._blocks(step, size * self.dtype.itemsize):
            images = torch.from_numpy(to_bytes(items, self.path))
            last = len(self.array_shape) == 4 and self.array_shape[-1] in (1, 3)
            yield (images.permute(0, 3, 1, 2) if last else images.reshape(len(images), *self.shape)).contiguous()

    def as_they_are(self) -> Tensor | None:
        if self.array is None or self.dtype != UINT8 or not self.array.flags.c_contiguous:
            return None
        last = len(self.array_shape) == 4 and self.array_shape[-1] == 3
        return None if last else as_tensor(self.array).reshape(self.n, *self.shape)

    def _blocks(self, step: int, item_bytes: int) -> Iterator[np.ndarray]:
        if self.array is not None:
            for start in range(0, self.n, step):
                yield np.array(self.array[start : start + step])
            return
        assert self.open is not None
        with self.open() as stream:
            stream.read(self.offset)
            for start in range(0, self.n, step):
                wanted = min(step, self.n - start)
                try:
                    raw = stream.read(wanted * item_bytes)
                except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:  # of packed files
                    raise refusal(f"{self.n} whole images", f"{error}", self.path, "it is truncated or damaged: fetch it anew") from error
                if len(raw) != wanted * item_bytes:
                    found = f"{start + len(raw) // item_bytes}"
                    raise refusal(f"{self.n} whole images", found, self.path, "the file is truncated: fetch or write it anew")
                yield np.frombuffer(bytearray(raw), self.dtype).reshape(wanted, *self.array_shape[1:])


def layout(shape: tuple[int, ...], path: Path) -> ImageShape:
    """(C, H, W) of an array's images."""
    if len(shape) == 3:
        return 1, shape[1], shape[2]
    if len(shape) == 4 and shape[-1] in (1, 3):
        return shape[3], shape[1], shape[2]
    if len(shape) == 4 and shape[1] in (1, 3):
        return shape[1], shape[2], shape[3]
    raise refusal(FORMS, f"an array {' x '.join(map(str, shape)) or 'of one number'}", path, "reshape it")


def to_bytes(items: Any, path: Path) -> np.ndarray:
    """Pixels as uint8; ValueError unless they are whole numbers from 0 to 255 or floats in [0, 1]."""
    if items.dtype == UINT8:
        return items
    if items.dtype.kind == "b":
        return items.astype(np.uint8) * np.uint8(255)
    low, high = items.min(), items.max()
    top = 1 if items.dtype.kind == "f" else 255
    if not (low >= 0 and high <= top):  # NaN fails both
        found = "NaN" if np.isnan(items).any() else f"values from {low:g} to {high:g}"
        kind = "floats in [0, 1]" if top == 1 else "whole numbers from 0 to 255"
        raise refusal(f"pixels that are {kind}", found, path, "scale them: 0 is black, and 1 (uint8: 255) is white")
    return (items.astype(np.float64) * 255).round().astype(np.uint8) if top == 1 else items.astype(np.uint8)
