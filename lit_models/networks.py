"""Encoder and decoder networks: tensors to tensors, no loss, no randomness.

GroupNorm or no normalisation only: BatchNorm would tie the images of a batch together. Most of the work is done on the
7 x 7 grid, where a convolution costs a sixteenth of what it costs on 28 x 28; resolution is gained by
sub-pixel convolution (Shi et al. 2016, https://arxiv.org/abs/1609.05158), which leaves no checkerboard. Weights lie with the
channels last, as convolutions read them: a tenth faster on a CPU.
"""

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """A 3 x 3 and a 1 x 1 convolution beside a skip connection, (B, C, H, W) in and out (van den Oord et al. 2017, 4.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.body(features)


def image_trunk(channels: int, blocks: int) -> nn.Sequential:
    """Images (B, 1, 28, 28) to features (B, channels, 7, 7): two strided convolutions, then residual blocks."""
    return nn.Sequential(
        nn.Conv2d(1, channels // 2, 4, stride=2, padding=1),  # (B, C/2, 14, 14)
        nn.SiLU(),
        nn.Conv2d(channels // 2, channels, 4, stride=2, padding=1),  # (B, C, 7, 7)
        *[ResidualBlock(channels) for _ in range(blocks)],
        nn.GroupNorm(8, channels),
        nn.SiLU(),
    )


def pixel_head(channels: int, blocks: int) -> nn.Sequential:
    """Features (B, channels, 7, 7) to pixel logits (B, 1, 28, 28): residual blocks, then two sub-pixel convolutions."""
    return nn.Sequential(
        *[ResidualBlock(channels) for _ in range(blocks)],
        nn.GroupNorm(8, channels),
        nn.SiLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.PixelShuffle(2),  # (B, C/4, 14, 14)
        nn.SiLU(),
        nn.Conv2d(channels // 4, 4, 3, padding=1),
        nn.PixelShuffle(2),  # (B, 1, 28, 28)
    )


class Encoder(nn.Module):
    """Images (B, 1, 28, 28) to a vector (B, out_features)."""

    def __init__(self, out_features: int, channels: int = 64, blocks: int = 1) -> None:
        super().__init__()
        self.net = nn.Sequential(image_trunk(channels, blocks), nn.Flatten(), nn.Linear(49 * channels, out_features))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


class Decoder(nn.Module):
    """A vector (B, in_features) to pixel logits (B, 1, 28, 28); a sigmoid makes them images in [0, 1]."""

    def __init__(self, in_features: int, channels: int = 64, blocks: int = 1) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(in_features, 49 * channels), nn.Unflatten(1, (channels, 7, 7)), pixel_head(channels, blocks))
        self.to(memory_format=torch.channels_last)

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)


def grid_kernel(grid: int) -> dict[str, int]:
    """The convolution that takes the 7 x 7 features to `grid` x `grid` codes; its transpose leads back."""
    kernels = {7: dict(kernel_size=1), 5: dict(kernel_size=3), 4: dict(kernel_size=4)}
    if grid not in kernels:
        raise ValueError(f"grid must be one of {sorted(kernels)} (codes per side of an image), got {grid}")
    return kernels[grid]


class GridEncoder(nn.Module):
    """Images (B, 1, 28, 28) to a grid of vectors (B, dim, grid, grid)."""

    def __init__(self, dim: int, grid: int, channels: int = 64, blocks: int = 1) -> None:
        super().__init__()
        self.net = nn.Sequential(image_trunk(channels, blocks), nn.Conv2d(channels, dim, **grid_kernel(grid)))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


class GridDecoder(nn.Module):
    """A grid of vectors (B, dim, grid, grid) to pixel logits (B, 1, 28, 28)."""

    def __init__(self, dim: int, grid: int, channels: int = 64, blocks: int = 1) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.ConvTranspose2d(dim, channels, **grid_kernel(grid)), pixel_head(channels, blocks))
        self.to(memory_format=torch.channels_last)

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)
