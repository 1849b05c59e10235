r"""Finite scalar quantiser: every number of a code is rounded to one of a few levels, so that no codebook has to be learned.

Number i of a vector has :math:`L_i` levels, and the codes are all :math:`\prod_i L_i` combinations. The encoder's output v is bounded,

.. math:: u_i = \tanh(v_i + s_i) \, \tfrac{L_i - 1}{2} - o_i, \qquad o_i = 0 \text{ for odd } L_i, \; \tfrac12 \text{ for even } L_i,

so that rounding u gives the integers from :math:`-\lfloor L_i / 2 \rfloor` up, :math:`L_i` of them. The shift :math:`s_i` takes v = 0 to
u = 0. Codes are these integers divided by :math:`\lfloor L_i / 2 \rfloor`: they lie in [-1, 1].

Reference: Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple, 2023, section 3.1 and appendix A.1, where the shift is a tangent
instead of the inverse of tanh. https://arxiv.org/abs/2309.15505
"""

import math

import torch
from torch import Tensor, nn

from lit_models.nn.quantiser import single_at_least


class FiniteScalarQuantiser(nn.Module):
    """The same verbs as `lit_models.nn.quantiser.VectorQuantiser`, without anything that is learned.

    Args:
        levels: The number of levels of each number of a code, each at least 3.
    Raises:
        ValueError: If there are no levels, or fewer than 3.
    """

    commits = False  # vectors cannot run away from their codes

    last: Tensor
    halves: Tensor
    base: Tensor
    offset: Tensor
    shift: Tensor
    codebook: Tensor

    def __init__(self, levels: tuple[int, ...] = (8, 6, 5)) -> None:
        super().__init__()
        if not levels or min(levels) < 3:
            raise ValueError(f"levels expected at least 3 for each number of a code, got {tuple(levels)}: (8, 6, 5) gives 240 codes")
        self.levels, self.n_codes, self.dim = tuple(levels), math.prod(levels), len(levels)
        each = torch.tensor(self.levels)
        offset = 0.5 * (1 - each % 2)
        base = torch.tensor([math.prod(self.levels[:number]) for number in range(self.dim)])  # the index is a number in mixed radix
        digits = torch.arange(self.n_codes)[:, None] // base % each  # (K, D)
        # Buffers follow the model to its device. They are the same for all weights, so that no checkpoint holds them.
        self.register_buffer("last", (each - 1).float(), persistent=False)
        self.register_buffer("halves", (each // 2).float(), persistent=False)
        self.register_buffer("base", base, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("shift", torch.atanh(2 * offset / (each - 1)), persistent=False)
        self.register_buffer("codebook", (digits - each // 2) / (each // 2), persistent=False)

    def bound(self, vectors: Tensor) -> Tensor:
        """Encoder outputs among the codes, u divided by half the number of levels, (B, D, H, W) to (B, D, H, W)."""
        v = single_at_least(vectors).movedim(1, -1)
        return ((torch.tanh(v + self.shift) * self.last / 2 - self.offset) / self.halves).movedim(-1, 1)

    def indices(self, vectors: Tensor) -> Tensor:
        """Nearest codes of vectors among the codes, bounded or not, (B, D, H, W) to (B, H, W)."""
        digits = (single_at_least(vectors).movedim(1, -1) * self.halves).round() + self.halves
        return (torch.minimum(digits.clamp_min(0), self.last).long() * self.base).sum(dim=-1)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes of a grid of indices, (B, H, W) to (B, D, H, W)."""
        return nn.functional.embedding(indices, self.codebook).permute(0, 3, 1, 2)

    def update(self, vectors: Tensor) -> None:
        """Nothing: the codes are fixed."""
