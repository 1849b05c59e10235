"""The other network of a flow in pixels: a transformer over patches, 4 x 4 for a side of 28.

Reference: Peebles & Xie, Scalable Diffusion Models with Transformers, 2023, https://arxiv.org/abs/2212.09748.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from lit_models.contracts import ImageShape
from lit_models.image_shape import grid_of
from lit_models.nn.blocks import MNIST
from lit_models.nn.velocity import TimeFeatures, embedding_of_levels, with_level


class ConditionedLayer(nn.Module):
    """Attention over all tokens and a two-layer perceptron, (B, T, width) in and out, scaled, shifted and gated by the condition."""

    def __init__(self, width: int, heads: int, condition: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(condition, 6 * width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        scale, shift, gate, scale_mlp, shift_mlp, gate_mlp = self.modulation(condition)[:, None].chunk(6, dim=2)
        batch, length, width = tokens.shape
        qkv = self.qkv(torch.addcmul(shift, self.norm(tokens), 1 + scale)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, length, width)
        tokens = torch.addcmul(tokens, gate, self.out(mixed))
        return torch.addcmul(tokens, gate_mlp, self.mlp(torch.addcmul(shift_mlp, self.norm(tokens), 1 + scale_mlp)))


class PatchTransformer(nn.Module):
    """As `lit_models.nn.unet.UNet`: noisy images, times and labels to clean images."""

    def __init__(
        self,
        channels: int = 32,
        layers: int = 4,
        heads: int = 4,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
        condition: int = 128,
        levels: int = 1,
    ) -> None:
        super().__init__()
        width = 4 * channels
        grid, halvings = grid_of(image_shape)
        patch = 2**halvings
        self.grid = grid
        self.embed_time = nn.Sequential(TimeFeatures(64), nn.Linear(64, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.embed_class = nn.Embedding((classes or 0) + 1, condition)
        self.embed_level = embedding_of_levels(levels, condition)
        self.enter, self.shuffle = nn.PixelUnshuffle(patch), nn.PixelShuffle(patch)
        self.embed = nn.Linear(image_shape[0] * patch**2, width)
        self.position = nn.Parameter(torch.empty(grid * grid, width).normal_(std=0.02))
        self.layers = nn.ModuleList(ConditionedLayer(width, heads, condition) for _ in range(layers))
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, image_shape[0] * patch**2)

    def forward(self, images: Tensor, times: Tensor, labels: Tensor, level: int = 0) -> Tensor:
        condition = silu(with_level(self.embed_level, self.embed_time(times) + self.embed_class(labels), level))
        tokens = self.embed(self.enter(images).flatten(2).transpose(1, 2)) + self.position
        for layer in self.layers:
            tokens = layer(tokens, condition)
        patches = self.leave(self.norm(tokens)).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return self.shuffle(patches)
