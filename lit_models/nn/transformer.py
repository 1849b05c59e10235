r"""Class-conditional autoregressive prior over the codes of a quantised image.

.. math:: p(k_1, \dots, k_P \mid y) = \textstyle\prod_i p(k_i \mid k_{<i}, y)

with the codes in raster order and each factor given by a causal transformer that reads the class as its first token.

Reference: van den Oord et al., Neural Discrete Representation Learning, 2017, section 3.3 (a prior over the codes, there a
PixelCNN). https://arxiv.org/abs/1711.00937; Vaswani et al., Attention Is All You Need, 2017. https://arxiv.org/abs/1706.03762
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from lit_models.losses import negative_log_likelihood
from lit_models.sampling.evaluation_mode import without_dropout
from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature, tempered

KeyValues = tuple[Tensor, Tensor]


def draw_from(probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
    """One draw from each row, (N, K) to (N,); on the CPU, so that a seed gives the same draws on every device."""
    return torch.multinomial(probabilities.cpu(), 1, generator=generator)[:, 0].to(probabilities.device)


class Block(nn.Module):
    """Self-attention and a two-layer perceptron, each after a LayerNorm, (B, T, width) in and out.

    If `causal`, a token reads itself and those before it; otherwise it reads all. There are no biases: they only cost time. The GELU is
    exact: its approximation by tanh is slower on a CPU. With `past`, the keys and values of the tokens before, only the new token is
    computed.
    """

    def __init__(self, width: int, heads: int, dropout: float, causal: bool = True) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False))

    def forward(self, tokens: Tensor, past: KeyValues | None = None) -> tuple[Tensor, KeyValues]:
        batch, length, width = tokens.shape
        qkv = self.qkv(self.norm_attention(tokens)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, T, width / heads)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        mixed = scaled_dot_product_attention(query, key, value, is_causal=self.causal and past is None)
        tokens = tokens + self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, length, width)))
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens))), (key, value)


class CodePrior(nn.Module):
    """Causal transformer over `length` codes out of `n_codes`, given one of `classes` labels.

    It is a `lit_models.contracts.CodeDistribution` over indices (B, length).
    """

    name = "autoregressive"

    def __init__(
        self, n_codes: int, length: int, classes: int, width: int = 128, layers: int = 3, heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got width {width} and heads {heads}")
        self.length, self.classes = length, classes
        self.embed_class, self.embed_code = nn.Embedding(classes, width), nn.Embedding(n_codes, width)
        self.position = nn.Parameter(torch.empty(length, width).normal_(std=0.02))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, n_codes)
        self.dropout = nn.Dropout(dropout)
        for embedding in (self.embed_class, self.embed_code):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Logits of every code given those before it, (B, P) and (B,) to (B, P, K)."""
        tokens = torch.cat([self.embed_class(labels)[:, None], self.embed_code(codes[:, :-1])], dim=1) + self.position
        tokens = self.dropout(tokens)
        for block in self.blocks:
            tokens, _ = block(tokens)
        return self.head(self.dropout(self.norm(tokens)))

    def loss(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Nats of indices (B, P) given labels (B,), (B,)."""
        return -self.log_density(codes, labels)

    def log_density(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Log-probability of indices (B, P) given labels (B,), in nats, (B,)."""
        return -negative_log_likelihood(self(codes, labels), codes)

    @torch.no_grad()
    def draw(
        self, n: int, labels: Tensor | int | None = None, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Indices of `n` new images, (n, P). Without labels, labels are drawn uniformly (the VQ-VAE gives labels).

        The logits of each position are divided by the temperature. Keys and values of earlier positions are kept, and not computed again.
        """
        temperature = checked_temperature(temperature)
        asked = labels_for(n, labels, self.classes)
        if asked is None:
            asked = torch.randint(self.classes, (n,), generator=generator)
        with without_dropout(self):
            caches: list[KeyValues | None] = [None] * len(self.blocks)
            token, codes = self.embed_class(asked.to(self.position.device))[:, None], []
            for position in range(self.length):
                token = token + self.position[position]
                for layer, block in enumerate(self.blocks):
                    token, caches[layer] = block(token, caches[layer])
                codes.append(draw_from(tempered(self.head(self.norm(token[:, 0])), temperature), generator))
                token = self.embed_code(codes[-1])[:, None]
        return torch.stack(codes, dim=1)
