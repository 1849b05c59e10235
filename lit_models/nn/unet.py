"""The network of a flow in pixels: a small U-Net that is told the time and the class, and predicts the clean image.

It works on patches, 2 x 2 for a side of 28: most of its work is done on 14 x 14 and 7 x 7 places. Time and class scale and shift every
normalisation (Dhariwal & Nichol, Diffusion Models Beat GANs on Image Synthesis, 2021, section 3, https://arxiv.org/abs/2105.05233).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from lit_models.contracts import ImageShape
from lit_models.image_shape import grid_of
from lit_models.nn.blocks import MNIST
from lit_models.nn.velocity import TimeFeatures, embedding_of_levels, with_level


class ConditionedBlock(nn.Module):
    """The residual block of `lit_models.nn.blocks` with a scale and a shift by the condition; it adds nothing before training."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels, affine=False)
        self.modulation = nn.Linear(condition, 2 * channels)
        self.conv, self.out = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = self.conv(silu(torch.addcmul(shift, self.norm(features), 1 + scale)))
        return features + self.out(silu(hidden))


class GridAttention(nn.Module):
    """Self-attention over the places of a grid with a skip connection, (B, C, H, W) in and out; it adds nothing before training."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(8, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        qkv = self.qkv(self.norm(features)).flatten(2).view(batch, 3, self.heads, channels // self.heads, -1)
        query, key, value = qkv.transpose(3, 4).unbind(dim=1)  # each (B, heads, places, channels / heads)
        mixed = scaled_dot_product_attention(query, key, value).transpose(2, 3).reshape(batch, channels, height, width)
        return features + self.out(mixed)


class UNet(nn.Module):
    """Noisy images (B, *image_shape) in [-1, 1], times (B,) and labels (B,) to clean images, (B, *image_shape).

    Label `classes` stands for no label; without classes there is that label alone. With more than one of `levels` it is also told the level
    of the step (`lit_models.sampling.shortcut`).
    """

    def __init__(
        self,
        channels: int = 32,
        blocks: int = 2,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
        condition: int = 128,
        levels: int = 1,
    ) -> None:
        super().__init__()
        deep_channels = 3 * channels  # on the coarser grid
        patch = 2 ** (grid_of(image_shape)[1] - 1)
        self.embed_time = nn.Sequential(TimeFeatures(64), nn.Linear(64, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.embed_class = nn.Embedding((classes or 0) + 1, condition)
        self.embed_level = embedding_of_levels(levels, condition)
        self.enter = nn.Sequential(nn.PixelUnshuffle(patch), nn.Conv2d(image_shape[0] * patch**2, channels, 3, padding=1))
        self.before = nn.ModuleList(ConditionedBlock(channels, condition) for _ in range(blocks))
        self.down = nn.Conv2d(channels, deep_channels, 4, stride=2, padding=1)
        self.deep = nn.ModuleList(ConditionedBlock(deep_channels, condition) for _ in range(2 * blocks))
        self.attention = GridAttention(deep_channels)
        self.up = nn.Sequential(nn.Conv2d(deep_channels, 4 * channels, 1), nn.PixelShuffle(2))
        self.join = nn.Conv2d(2 * channels, channels, 1)
        self.after = nn.ModuleList(ConditionedBlock(channels, condition) for _ in range(blocks))
        self.leave = nn.Sequential(
            nn.GroupNorm(8, channels), nn.SiLU(), nn.Conv2d(channels, image_shape[0] * patch**2, 3, padding=1), nn.PixelShuffle(patch)
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, times: Tensor, labels: Tensor, level: int = 0) -> Tensor:
        condition = silu(with_level(self.embed_level, self.embed_time(times) + self.embed_class(labels), level))
        features = self.enter(images)
        for block in self.before:
            features = block(features, condition)
        skip, deep = features, self.down(features)
        for number, block in enumerate(self.deep):
            deep = block(deep, condition)
            if number == len(self.deep) // 2 - 1:
                deep = self.attention(deep)
        features = self.join(torch.cat([self.up(deep), skip], dim=1))
        for block in self.after:
            features = block(features, condition)
        return self.leave(features)
