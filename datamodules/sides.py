"""Brings images to a side that the networks take, by padding or by resizing."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lit_models.contracts import ImageShape
from lit_models.image_shape import SIDES

USUAL = (28, 32, 64)  # sides that other images are brought to
NEAR = 4  # an image that lacks at most this many pixels to a usual side is padded


@dataclass(frozen=True)
class Fit:
    """How images of (H, W) become square images of `side`: resized to (height, width) first if that differs, then padded."""

    found: tuple[int, int]
    inner: tuple[int, int]
    side: int

    @property
    def said(self) -> str:
        """What is done to the images, in words; empty if nothing is."""
        steps = [] if self.inner == self.found else [f"resized to {self.inner[0]} x {self.inner[1]}"]
        steps += [] if self.inner == (self.side, self.side) else [f"padded to {self.side} x {self.side}"]
        return " and ".join(steps)

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) to uint8 (N, C, side, side)."""
        if self.inner != self.found:
            resized = interpolate(images.float(), size=self.inner, mode="bicubic", antialias=True)
            images = resized.round_().clamp_(0, 255).to(torch.uint8)
        return images if self.inner == (self.side, self.side) else padded(images, self.side)


def fit_to(found: tuple[int, int], size: int | None) -> Fit:
    """The rule for images of (H, W).

    With a `size`, the longer side is resized to it and the shorter one padded. Without, a longer side of up to 64 that networks take stays,
    one that lacks at most 4 pixels to 28, 32 or 64 is padded, and any other is resized to the nearest of the three.
    """
    longer = max(found)
    if size is None:
        near = [side for side in USUAL if 0 <= side - longer <= NEAR]
        if longer in SIDES and longer <= USUAL[-1]:
            return Fit(found, found, longer)
        if near:
            return Fit(found, found, near[0])
        size = min(USUAL, key=lambda side: abs(side - longer))
    if longer == size:
        return Fit(found, found, size)
    height, width = (max(1, round(length * size / longer)) for length in found)
    return Fit(found, (height, width), size)


def padded(images: Tensor, side: int) -> Tensor:
    """Square images, each within the median colour of its own border."""
    n, channels, height, width = images.shape
    edges = (images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1])
    colour = torch.cat(edges, dim=-1).median(dim=-1).values  # (N, C)
    square = colour[:, :, None, None].expand(n, channels, side, side).clone()
    top, left = (side - height) // 2, (side - width) // 2
    square[:, :, top : top + height, left : left + width] = images
    return square


def check_size(size: int | None) -> None:
    """ValueError unless networks take images of this side."""
    if size is not None and size not in SIDES:
        sides = ", ".join(map(str, SIDES))
        raise ValueError(f"expected size null or one of {sides}, got {size}: networks halve the side down to 7 or 8")


def resized_shape(shape: ImageShape, size: int | None) -> ImageShape:
    side = fit_to(shape[1:], size).side
    return shape[0], side, side
