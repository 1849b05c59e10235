"""Encoder and decoder networks: tensors to tensors, no loss, no randomness.

They use GroupNorm or no normalisation: BatchNorm would couple the images of a batch. Most of the work is done on a grid of 7 x 7 or 8 x 8
(`lit_models.image_shape.grid_of`): there a convolution costs a sixteenth of its cost on 28 x 28 pixels. Sub-pixel convolution raises the
resolution (Shi et al. 2016, https://arxiv.org/abs/1609.05158) without checkerboard artefacts. Weights have the channels last in memory, the
order in which convolutions read them: this is a tenth faster on a CPU.
"""

import torch
from torch import Tensor, nn

from lit_models.contracts import ImageShape
from lit_models.image_shape import grid_of
from lit_models.nn.blocks import MNIST, FlattenGrid, UnflattenGrid, residual_blocks


def patch_trunk(channels: int, blocks: int, image_shape: ImageShape) -> nn.Sequential:
    """The same shapes as `image_trunk`, but faster: a patch, 4 x 4 for a side of 28, becomes the channels of one place of the grid."""
    patch = 2 ** grid_of(image_shape)[1]
    return nn.Sequential(
        nn.PixelUnshuffle(patch),
        nn.Conv2d(image_shape[0] * patch**2, channels, 3, padding=1),
        *residual_blocks(channels, blocks),
    )


def pixel_head(channels: int, blocks: int, image_shape: ImageShape) -> nn.Sequential:
    """Features (B, channels, grid, grid) to pixel logits: residual blocks, then sub-pixel convolutions, each of which doubles the side."""
    layers, width = residual_blocks(channels, blocks), channels
    for _ in range(grid_of(image_shape)[1] - 1):
        layers += [nn.Conv2d(width, channels, 3, padding=1), nn.PixelShuffle(2), nn.SiLU()]  # (B, C/4, 2 grid, 2 grid)
        width = channels // 4
    return nn.Sequential(*layers, nn.Conv2d(width, 4 * image_shape[0], 3, padding=1), nn.PixelShuffle(2))


class WholeGrid(nn.Module):
    """Two layers that see the whole grid at once, with a skip connection, (B, dim, grid, grid) in and out."""

    def __init__(self, dim: int, grid: int, width: int) -> None:
        super().__init__()
        size = dim * grid * grid
        self.body = nn.Sequential(FlattenGrid(), nn.Linear(size, width), nn.SiLU(), nn.Linear(width, size), UnflattenGrid(dim, grid))

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors + self.body(vectors)


class Encoder(nn.Module):
    """Images (B, *image_shape) to a vector (B, out_features).

    Convolutions see a neighbourhood. The layer of `width` between them and the vector sees the whole image, and makes the code good: twice
    the channels would cost twice the time and bring less.
    """

    def __init__(self, out_features: int, channels: int = 32, blocks: int = 1, width: int = 256, image_shape: ImageShape = MNIST) -> None:
        super().__init__()
        size = channels * grid_of(image_shape)[0] ** 2
        trunk = patch_trunk(channels, blocks, image_shape)
        self.net = nn.Sequential(trunk, FlattenGrid(), nn.Linear(size, width), nn.SiLU(), nn.Linear(width, out_features))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


class Decoder(nn.Module):
    """A vector (B, in_features) to pixel logits (B, *image_shape); a sigmoid turns them into images in [0, 1]."""

    def __init__(self, in_features: int, channels: int = 32, blocks: int = 1, width: int = 256, image_shape: ImageShape = MNIST) -> None:
        super().__init__()
        grid, _ = grid_of(image_shape)
        self.net = nn.Sequential(
            nn.Linear(in_features, width),
            nn.SiLU(),
            nn.Linear(width, grid**2 * channels),
            UnflattenGrid(channels, grid),
            pixel_head(channels, blocks, image_shape),
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)


def grid_kernel(grid: int, image_shape: ImageShape) -> int:
    """Kernel of the convolution from features to `grid` x `grid` codes, and of its transpose back."""
    side, _ = grid_of(image_shape)
    known = [4, 5, *range(7, side + 1)]
    if grid not in known:
        raise ValueError(f"grid must be one of {known} (codes per side of an image), got {grid}")
    return side - grid + 1


class GridEncoder(nn.Module):
    """Images (B, *image_shape) to a grid of vectors (B, dim, grid, grid)."""

    def __init__(self, dim: int, grid: int, channels: int = 64, blocks: int = 1, image_shape: ImageShape = MNIST) -> None:
        super().__init__()
        self.net = nn.Sequential(patch_trunk(channels, blocks, image_shape), nn.Conv2d(channels, dim, grid_kernel(grid, image_shape)))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


class GridDecoder(nn.Module):
    """A grid of vectors (B, dim, grid, grid) to pixel logits (B, *image_shape).

    The meaning of a code may depend on all others, so a layer of `width` sees the whole grid first.
    """

    def __init__(self, dim: int, grid: int, channels: int = 64, blocks: int = 1, width: int = 512, image_shape: ImageShape = MNIST) -> None:
        super().__init__()
        up = nn.ConvTranspose2d(dim, channels, grid_kernel(grid, image_shape))
        self.net = nn.Sequential(WholeGrid(dim, grid, width), up, pixel_head(channels, blocks, image_shape))
        self.to(memory_format=torch.channels_last)

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)
