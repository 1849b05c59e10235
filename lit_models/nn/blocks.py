"""Blocks that networks share: tensors to tensors, no loss, no randomness."""

from torch import Tensor, nn


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


def image_trunk(channels: int, blocks: int) -> nn.Sequential:
    """Images (B, 1, 28, 28) to features (B, channels, 7, 7): two strided convolutions, then residual blocks."""
    return nn.Sequential(
        nn.Conv2d(1, channels // 2, 4, stride=2, padding=1),  # (B, C/2, 14, 14)
        nn.SiLU(),
        nn.Conv2d(channels // 2, channels, 4, stride=2, padding=1),  # (B, C, 7, 7)
        *residual_blocks(channels, blocks),
    )


class FlattenGrid(nn.Module):
    """Features (B, C, H, W) to vectors (B, H W C), position by position, which is their order in memory with the channels last."""

    def forward(self, features: Tensor) -> Tensor:
        return features.permute(0, 2, 3, 1).flatten(1)


class UnflattenGrid(nn.Module):
    """Vectors (B, H W C) to features (B, C, H, W) of a square grid, the inverse of `FlattenGrid`."""

    def __init__(self, channels: int, side: int = 7) -> None:
        super().__init__()
        self.shape = (side, side, channels)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(1, self.shape).permute(0, 3, 1, 2)
