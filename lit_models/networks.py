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


def residual_blocks(channels: int, blocks: int) -> list[nn.Module]:
    """So many blocks, and the normalisation and activation that their sum still wants; (B, C, H, W) in and out."""
    return [*[ResidualBlock(channels) for _ in range(blocks)], nn.GroupNorm(8, channels), nn.SiLU()]


def image_trunk(channels: int, blocks: int) -> nn.Sequential:
    """Images (B, 1, 28, 28) to features (B, channels, 7, 7): two strided convolutions, then residual blocks."""
    return nn.Sequential(
        nn.Conv2d(1, channels // 2, 4, stride=2, padding=1),  # (B, C/2, 14, 14)
        nn.SiLU(),
        nn.Conv2d(channels // 2, channels, 4, stride=2, padding=1),  # (B, C, 7, 7)
        *residual_blocks(channels, blocks),
    )


def patch_trunk(channels: int, blocks: int) -> nn.Sequential:
    """The same shapes, faster: patches of 4 x 4 become 16 channels (B, 16, 7, 7), on which all convolutions work."""
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


class FlattenGrid(nn.Module):
    """Features (B, C, H, W) to vectors (B, H W C), position by position: with the channels last, that is how they lie in memory."""

    def forward(self, features: Tensor) -> Tensor:
        return features.permute(0, 2, 3, 1).flatten(1)


class UnflattenGrid(nn.Module):
    """Vectors (B, H W C) to features (B, C, H, W) of a square grid, the inverse of `FlattenGrid`."""

    def __init__(self, channels: int, side: int = 7) -> None:
        super().__init__()
        self.shape = (side, side, channels)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(1, self.shape).permute(0, 3, 1, 2)


class WholeGrid(nn.Module):
    """Two layers that see all of a grid at once, beside a skip connection, (B, dim, grid, grid) in and out."""

    def __init__(self, dim: int, grid: int, width: int) -> None:
        super().__init__()
        size = dim * grid * grid
        self.body = nn.Sequential(FlattenGrid(), nn.Linear(size, width), nn.SiLU(), nn.Linear(width, size), UnflattenGrid(dim, grid))

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors + self.body(vectors)


class Encoder(nn.Module):
    """Images (B, 1, 28, 28) to a vector (B, out_features).

    Convolutions see a neighbourhood; the layer of `width` between them and the vector sees all of the image, and is what
    makes a code good: as many channels again would cost twice the time for less.
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
    """A vector (B, in_features) to pixel logits (B, 1, 28, 28); a sigmoid makes them images in [0, 1]."""

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
    """The convolution that takes the 7 x 7 features to `grid` x `grid` codes; its transpose leads back."""
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

    What a code means may depend on all others: a layer of `width` sees the whole grid first.
    """

    def __init__(self, dim: int, grid: int, channels: int = 64, blocks: int = 1, width: int = 512) -> None:
        super().__init__()
        up = nn.ConvTranspose2d(dim, channels, **grid_kernel(grid))
        self.net = nn.Sequential(WholeGrid(dim, grid, width), up, pixel_head(channels, blocks))
        self.to(memory_format=torch.channels_last)

    def forward(self, codes: Tensor) -> Tensor:
        return self.net(codes)


class Generator(nn.Module):
    """A vector (B, in_features) to an image (B, 1, 28, 28), which may leave [0, 1] a little.

    Two wide layers come first: what follows is local, and so only they can decide which digit it is to be. Their weights are scaled to
    keep the variance of what passes (He et al. 2015), or the vector would fade on its way.
    Beyond black and white the pixels go on at a tenth of the slope. A sigmoid there lets the discriminator win the first hundred steps
    for good: it drives the generator into black, where no gradient is left.

    No normalisation, and bilinear upsampling rather than transposed convolutions, as in Huang et al., The GAN is dead; long
    live the GAN!, 2024, section 3, https://arxiv.org/abs/2501.05441.
    """

    def __init__(self, in_features: int, channels: int = 48, width: int = 256) -> None:
        super().__init__()
        self.grid = nn.Sequential(
            nn.Linear(in_features, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 49 * channels),
            UnflattenGrid(channels),
            nn.LeakyReLU(0.2),
        )
        self.residual = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2))
        self.pixels = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(channels, 2 * channels // 3, 3, padding=1),  # (B, 2C/3, 14, 14)
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels // 3, channels // 3, 1),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(channels // 3, channels // 3, 3, padding=1),  # (B, C/3, 28, 28)
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels // 3, 1, 3, padding=1),
        )
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, 0.2)
                nn.init.zeros_(module.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, codes: Tensor) -> Tensor:
        grid = self.grid(codes)
        pixels = self.pixels(grid + self.residual(grid))
        bounded = pixels.clamp(0, 1)
        return bounded + 0.1 * (pixels - bounded)


class Discriminator(nn.Module):
    """Images (B, 1, 28, 28) to scores (B,), the higher the more real; no normalisation.

    With `classes` it also asks whether the image fits its label, by the projection of the features on a class vector
    (Miyato & Koyama 2018, equation 5, https://arxiv.org/abs/1802.05637).
    """

    def __init__(self, classes: int | None = None, channels: int = 48, width: int = 128) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, channels // 2, 4, stride=2, padding=1),  # (B, C/2, 14, 14)
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels // 2, channels, 4, stride=2, padding=1),  # (B, C, 7, 7)
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.head = nn.Sequential(FlattenGrid(), nn.Linear(49 * channels, width), nn.LeakyReLU(0.2))
        self.score = nn.Linear(width, 1)
        self.class_vectors = nn.Embedding(classes, width) if classes else None
        self.to(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> Tensor:
        """What it sees in an image, (B, channels, 7, 7)."""
        return self.trunk(images)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.judge(self.features(images), labels)

    def judge(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores (B,) of images seen already."""
        seen = self.head(features)
        score = self.score(seen)[:, 0]
        return score if self.class_vectors is None else score + (self.class_vectors(labels) * seen).sum(dim=1)
