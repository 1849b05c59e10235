"""Generator and discriminator of the adversarial models."""

import torch
from torch import Tensor, nn

from lit_models.contracts import ImageShape
from lit_models.image_shape import grid_of
from lit_models.nn.blocks import MNIST, FlattenGrid, UnflattenGrid, halving_widths


class Generator(nn.Module):
    """A vector (B, in_features) to an image (B, *image_shape), whose pixels may leave [0, 1] a little.

    Two wide layers come first: all later layers are local, so only the wide ones can decide which class the image shows. Their weights are
    scaled to keep the variance of their input (He et al. 2015); otherwise the vector would fade from layer to layer.
    Beyond black and white the pixels continue at a tenth of the slope. With a sigmoid instead, the discriminator wins the first hundred
    steps for good: it drives the generator into black, where no gradient is left.

    No normalisation, and bilinear upsampling rather than transposed convolutions, as in Huang et al., The GAN is dead; long
    live the GAN!, 2024, section 3, https://arxiv.org/abs/2501.05441.
    """

    def __init__(self, in_features: int, channels: int = 48, width: int = 256, image_shape: ImageShape = MNIST) -> None:
        super().__init__()
        grid, doublings = grid_of(image_shape)
        self.grid = nn.Sequential(
            nn.Linear(in_features, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, grid**2 * channels),
            UnflattenGrid(channels, grid),
            nn.LeakyReLU(0.2),
        )
        self.residual = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2))
        layers: list[nn.Module] = [
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(channels, 2 * channels // 3, 3, padding=1),  # (B, 2C/3, 2 grid, 2 grid)
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels // 3, channels // 3, 1),
        ]
        for _ in range(doublings - 1):
            layers += [
                nn.Upsample(scale_factor=2, mode="bilinear"),
                nn.Conv2d(channels // 3, channels // 3, 3, padding=1),  # (B, C/3, 4 grid, 4 grid)
                nn.LeakyReLU(0.2),
            ]
        self.pixels = nn.Sequential(*layers, nn.Conv2d(channels // 3, image_shape[0], 3, padding=1))
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
    """Images (B, *image_shape) to scores (B,): the higher, the more real. No normalisation.

    With `classes` the score also says whether the image fits its label, by the projection of the features on a class vector (Miyato &
    Koyama 2018, equation 5, https://arxiv.org/abs/1802.05637).
    """

    def __init__(self, classes: int | None = None, channels: int = 48, width: int = 128, image_shape: ImageShape = MNIST) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for given, out in halving_widths(channels, image_shape):
            layers += [nn.Conv2d(given, out, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers, nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2))
        size = channels * grid_of(image_shape)[0] ** 2
        self.head = nn.Sequential(FlattenGrid(), nn.Linear(size, width), nn.LeakyReLU(0.2))
        self.score = nn.Linear(width, 1)
        self.class_vectors = nn.Embedding(classes, width) if classes else None
        self.to(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> Tensor:
        """Features of images, (B, channels, grid, grid)."""
        return self.trunk(images)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.scores(self.features(images), labels)

    def scores(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores (B,) of images whose features, (B, channels, grid, grid), are known."""
        vectors = self.head(features)
        score = self.score(vectors)[:, 0]
        return score if self.class_vectors is None else score + (self.class_vectors(labels) * vectors).sum(dim=1)
