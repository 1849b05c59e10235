"""Encoder and decoder networks: tensors to tensors, no loss, no randomness.

They use GroupNorm or no normalisation: BatchNorm would couple the images of a batch. Most of the work is done on a 7 x 7 grid, where a
convolution costs a sixteenth of its cost on 28 x 28. Sub-pixel convolution raises the resolution (Shi et al. 2016,
https://arxiv.org/abs/1609.05158) without checkerboard artefacts. Weights have the channels last in memory, the order in which convolutions
read them: this is a tenth faster on a CPU.
"""

import torch
from torch import Tensor, nn

from lit_models.nn.blocks import FlattenGrid, UnflattenGrid, residual_blocks


def patch_trunk(channels: int, blocks: int) -> nn.Sequential:
    """The same shapes as `image_trunk`, but faster: patches of 4 x 4 become 16 channels (B, 16, 7, 7), on which all convolutions work."""
    return nn.Sequential(
        nn.PixelUnshuffle(4),
        nn.Conv2d(16, channels, 3, padding=1),
        *residual_blocks(channels, blocks),
    )


def pixel_head(channels: int, blocks: int) -> nn.Sequential:
    """Features (B, channels, 7, 7) to pixel logits (B, 1, 28, 28): residual blocks, then two sub-pixel convolutions."""
    return nn.Sequential(
        *residual_blocks(channels, blocks),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.PixelShuffle(2),  # (B, C/4, 14, 14)
        nn.SiLU(),
        nn.Conv2d(channels // 4, 4, 3, padding=1),
        nn.PixelShuffle(2),  # (B, 1, 28, 28)
    )


class WholeGrid(nn.Module):
    """Two layers that see the whole grid at once, with a skip connection, (B, dim, grid, grid) in and out."""

    def __init__(self, dim: int, grid: int, width: int) -> None:
        super().__init__()
        size = dim * grid * grid
        self.body = nn.Sequential(FlattenGrid(), nn.Linear(size, width), nn.SiLU(), nn.Linear(width, size), UnflattenGrid(dim, grid))

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors + self.body(vectors)


class Encoder(nn.Module):
    """Images (B, 1, 28, 28) to a vector (B, out_features).

    Convolutions see a neighbourhood. The layer of `width` between them and the vector sees the whole image, and makes the code good: twice
    the channels would cost twice the time and bring less.
    """

    def __init__(self, out_features: int, channels: int = 32, blocks: int = 1, width: int = 256) -> None:
        super().__init__()
        self.net = nn.Sequential(
            patch_trunk(channels, blocks), FlattenGrid(), nn.Linear(49 * channels, width), nn.SiLU(), nn.Linear(width, out_features)
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


class Decoder(nn.Module):
    """A vector (B, in_features) to pixel logits (B, 1, 28, 28); a sigmoid turns them into images in [0, 1]."""

    def __init__(self, in_features: int, channels: int = 32, blocks: int = 1, width: int = 256) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(in_features, width),
            nn.SiLU(),
            nn.Linear(width, 49 * channels),
            UnflattenGrid(channels),
            pixel_head(channels, blocks),
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)


def grid_kernel(grid: int) -> dict[str, int]:
    """Kernel of the convolution from 7 x 7 features to `grid` x `grid` codes, and of its transpose back."""
    kernels = {7: dict(kernel_size=1), 5: dict(kernel_size=3), 4: dict(kernel_size=4)}
    if grid not in kernels:
        raise ValueError(f"grid must be one of {sorted(kernels)} (codes per side of an image), got {grid}")
    return kernels[grid]


class GridEncoder(nn.Module):
    """Images (B, 1, 28, 28) to a grid of vectors (B, dim, grid, grid)."""

    def __init__(self, dim: int, grid: int, channels: int = 64, blocks: int = 1) -> None:
        super().__init__()
        self.net = nn.Sequential(patch_trunk(channels, blocks), nn.Conv2d(channels, dim, **grid_kernel(grid)))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


class GridDecoder(nn.Module):
    """A grid of vectors (B, dim, grid, grid) to pixel logits (B, 1, 28, 28).

    The meaning of a code may depend on all others, so a layer of `width` sees the whole grid first.
    """

    def __init__(self, dim: int, grid: int, channels: int = 64, blocks: int = 1, width: int = 512) -> None:
        super().__init__()
        up = nn.ConvTranspose2d(dim, channels, **grid_kernel(grid))
        self.net = nn.Sequential(WholeGrid(dim, grid, width), up, pixel_head(channels, blocks))
        self.to(memory_format=torch.channels_last)

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)
