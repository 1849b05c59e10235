"""Blocks that networks share: tensors to tensors, no loss, no randomness."""

from torch import Tensor, nn

from lit_models.contracts import ImageShape
from lit_models.image_shape import grid_of

MNIST: ImageShape = (1, 28, 28)  # the default of all networks and models


class ResidualBlock(nn.Module):
    """A 3 x 3 and a 1 x 1 convolution with a skip connection, (B, C, H, W) in and out (van den Oord et al. 2017, 4.1)."""

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


def residual_blocks(channels: int, blocks: int) -> list[nn.Module]:
    """Residual blocks, then the normalisation and activation that their sum needs; (B, C, H, W) in and out."""
    return [*[ResidualBlock(channels) for _ in range(blocks)], nn.GroupNorm(8, channels), nn.SiLU()]


def halving_widths(channels: int, image_shape: ImageShape) -> list[tuple[int, int]]:
    """Maps in and out of the strided convolutions from an image to its grid: half of `channels` after the first, then `channels`."""
    outs = [channels // 2, channels, channels, channels][: grid_of(image_shape)[1]]
    outs[-1] = channels
    return list(zip([image_shape[0], *outs], outs, strict=False))


def image_trunk(channels: int, blocks: int, image_shape: ImageShape = MNIST) -> nn.Sequential:
    """Images to features (B, channels, grid, grid): strided convolutions, two for a side of 28, then residual blocks."""
    layers: list[nn.Module] = []
    for given, out in halving_widths(channels, image_shape):
        layers += [nn.Conv2d(given, out, 4, stride=2, padding=1), nn.SiLU()]
    return nn.Sequential(*layers[:-1], *residual_blocks(channels, blocks))


class FlattenGrid(nn.Module):
    """Features (B, C, H, W) to vectors (B, H W C), position by position, which is their order in memory with the channels last."""

    def forward(self, features: Tensor) -> Tensor:
        return features.permute(0, 2, 3, 1).flatten(1)


class UnflattenGrid(nn.Module):
    """Vectors (B, H W C) to features (B, C, H, W) of a square grid, the inverse of `FlattenGrid`."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.shape = (side, side, channels)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(1, self.shape).permute(0, 3, 1, 2)
