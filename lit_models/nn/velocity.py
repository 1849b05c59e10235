"""The velocity of a flow over codes: a perceptron that is told the time and the class."""

import math

import torch
from torch import Tensor, nn


class TimeFeatures(nn.Module):
    r"""Times (B,) in [0, 1] to sines and cosines (B, width) whose periods fall from 2 to 1/50 in geometric steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        periods = 2 * torch.logspace(0, -2, width // 2)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)

    def forward(self, times: Tensor) -> Tensor:
        angles = times[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def embedding_of_levels(levels: int, width: int) -> nn.Embedding | None:
    """What a network learns of the levels of steps, nothing before training; None if there is one level."""
    return nn.Embedding(levels, width, _weight=torch.zeros(levels, width)) if levels > 1 else None


def with_level(embedding: nn.Embedding | None, condition: Tensor, level: int) -> Tensor:
    """The condition of a network, (B, width), with the level of the step."""
    return condition if embedding is None else condition + embedding.weight[level]


class ModulatedBlock(nn.Module):
    """Two layers with a skip connection, (B, width) in and out.

    Time and class scale and shift what the block reads, and scale what it adds, which is nothing before training (Peebles & Xie, Scalable
    Diffusion Models with Transformers, 2023, section 3.2, https://arxiv.org/abs/2212.09748).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 3 * width)
        self.body = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        scale, shift, gate = self.modulation(condition).chunk(3, dim=1)
        return features + gate * self.body(self.norm(features) * (1 + scale) + shift)


class Velocity(nn.Module):
    """Codes (B, D), times (B,) in [0, 1] and labels (B,) to velocities (B, D), which are 0 before training.

    Label `classes` stands for no label; without classes there is that label alone. With more than one of `levels` it is also told the level
    of the step (`lit_models.sampling.shortcut`).
    """

    def __init__(self, dim: int, classes: int | None, width: int = 256, blocks: int = 4, levels: int = 1) -> None:
        super().__init__()
        self.embed_code, self.embed_class = nn.Linear(dim, width), nn.Embedding((classes or 0) + 1, width)
        self.embed_time = nn.Sequential(TimeFeatures(64), nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(ModulatedBlock(width) for _ in range(blocks))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.embed_level = embedding_of_levels(levels, width)

    def forward(self, codes: Tensor, times: Tensor, labels: Tensor, level: int = 0) -> Tensor:
        condition = nn.functional.silu(with_level(self.embed_level, self.embed_time(times) + self.embed_class(labels), level))
        features = self.embed_code(codes)
        for block in self.blocks:
            features = block(features, condition)
        return self.out(self.norm(features))
