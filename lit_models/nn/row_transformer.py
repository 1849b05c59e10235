r"""Class-conditional autoregressive distribution over binary images, row by row and pixel by pixel.

.. math:: p(x \mid y) = \textstyle\prod_r \prod_c p(x_{rc} \mid x_{<r}, x_{r,<c}, y)

A causal transformer reads the rows above row r and the class, and a masked perceptron reads its features and the pixels before pixel c.

Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, equation 1 (raster order; there with an LSTM that runs over rows).
https://arxiv.org/abs/1601.06759; Germain et al., MADE: Masked Autoencoder for Distribution Estimation, 2015, equations 8 and 9 (masks of
weights). https://arxiv.org/abs/1502.03509; Vaswani et al., Attention Is All You Need, 2017. https://arxiv.org/abs/1706.03762
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, pad

from lit_models.nn.transformer import Block, KeyValues
from lit_models.sampling.evaluation_mode import without_dropout

ABOVE = 3  # rows: what lies right above a pixel says most about it, so these rows need not pass through the transformer

Choose = Callable[[int, int, Tensor], Tensor]  # row, column and logits (B,) to the values of this pixel, (B,)


class RowPerceptron(nn.Module):
    """Logits of the pixels of a row, each given features and the pixels before it, with two hidden layers.

    Every pixel owns `units` numbers of each hidden layer. Masks on the weights let the units of pixel c see the pixels before c, and the
    units of the pixels up to c in the layer below. So a row can be drawn pixel by pixel with no unit computed twice.

    Args:
        features: Width F of the features.
        pixels: Length N of a row.
        units: Hidden units per pixel.
    """

    before: Tensor
    up_to: Tensor
    of_pixel: Tensor

    def __init__(self, features: int, pixels: int, units: int) -> None:
        super().__init__()
        self.pixels, self.units = pixels, units
        hidden = pixels * units
        self.features_in, self.row_in = nn.Linear(features, hidden), nn.Linear(pixels, hidden, bias=False)
        self.middle = nn.Linear(hidden, hidden, bias=False)
        self.out, self.features_out = nn.Linear(hidden, pixels, bias=False), nn.Linear(features, pixels)
        pixel, owner = torch.arange(pixels), torch.arange(pixels).repeat_interleave(units)
        self.register_buffer("before", (pixel < owner[:, None]).float(), persistent=False)  # (N units, N)
        self.register_buffer("up_to", (owner <= owner[:, None]).float(), persistent=False)  # (N units, N units)
        self.register_buffer("of_pixel", (owner <= pixel[:, None]).float(), persistent=False)  # (N, N units)

    def forward(self, features: Tensor, rows: Tensor) -> Tensor:
        """Logits of all pixels, (..., F) and (..., N) to (..., N)."""
        first = gelu(self.features_in(features) + linear(rows, self.row_in.weight * self.before))
        second = first + gelu(linear(first, self.middle.weight * self.up_to))
        return self.features_out(features) + linear(second, self.out.weight * self.of_pixel)

    def draw(self, features: Tensor, choose: Callable[[int, Tensor], Tensor]) -> Tensor:
        """A row, (B, N), whose pixel c is `choose(c, logits)`, given features (B, F)."""
        from_features, logits = self.features_in(features), self.features_out(features)
        row, first, second = torch.zeros_like(logits), torch.zeros_like(from_features), torch.zeros_like(from_features)
        for column in range(self.pixels):
            start, end = column * self.units, (column + 1) * self.units
            seen = linear(row[:, :column], self.row_in.weight[start:end, :column])
            first[:, start:end] = gelu(from_features[:, start:end] + seen)
            second[:, start:end] = first[:, start:end] + gelu(linear(first[:, :end], self.middle.weight[start:end, :end]))
            row[:, column] = choose(column, logits[:, column] + second[:, :end] @ self.out.weight[column, :end])
        return row


class RowTransformer(nn.Module):
    """Distribution over binary images of `height` rows of `pixels` numbers, given one of `classes` labels.

    Token r is made of the class and the three rows above row r; rows above the image are 0.

    Args:
        units: Hidden units per pixel of the perceptron within a row, whose cost grows with the square of `pixels * units`.
    """

    def __init__(
        self,
        height: int,
        pixels: int,
        classes: int = 1,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        units: int = 16,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got width {width} and heads {heads}")
        self.height, self.pixels = height, pixels
        self.embed_class, self.embed_rows = nn.Embedding(classes, width), nn.Linear(ABOVE * pixels, width)
        self.position = nn.Parameter(torch.empty(height, width).normal_(std=0.02))
        nn.init.normal_(self.embed_class.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.perceptron = RowPerceptron(width + ABOVE * pixels, pixels, units)

    def forward(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Logits of all pixels, each given those before it, (B, H, N) and (B,) to (B, H, N)."""
        above = torch.cat([pad(rows, (0, 0, lag, 0))[:, : self.height] for lag in range(1, ABOVE + 1)], dim=2)  # (B, H, 3 N)
        tokens = self.dropout(self.embed_rows(above) + self.embed_class(labels)[:, None] + self.position)
        for block in self.blocks:
            tokens, _ = block(tokens)
        return self.perceptron(torch.cat([self.dropout(self.norm(tokens)), above], dim=2), rows)

    @torch.no_grad()
    def draw(self, labels: Tensor, choose: Choose) -> Tensor:
        """Rows, (B, H, N), whose pixels are `choose(row, column, logits)` in raster order, given labels (B,).

        Keys and values of earlier rows are kept, and not computed again.
        """
        with without_dropout(self):
            caches: list[KeyValues | None] = [None] * len(self.blocks)
            rows, given = self.position.new_zeros(len(labels), ABOVE + self.height, self.pixels), self.embed_class(labels)[:, None]
            for number in range(self.height):
                above = rows[:, number : number + ABOVE].flip(1).flatten(1)  # the nearest row first, as in `forward`
                token = self.embed_rows(above)[:, None] + given + self.position[number]
                for layer, block in enumerate(self.blocks):
                    token, caches[layer] = block(token, caches[layer])
                features = torch.cat([self.norm(token[:, 0]), above], dim=1)
                rows[:, ABOVE + number] = self.perceptron.draw(features, partial(choose, number))
        return rows[:, ABOVE:]
