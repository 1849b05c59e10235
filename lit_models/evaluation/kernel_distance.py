r"""Kernel distance (KID) of two sets of features, with its standard error.

With n features :math:`x_i` of real images, n features :math:`y_i` of samples, D numbers each, and the cubic kernel
:math:`k(a, b) = (a^T b / D + 1)^3`, the estimate is the mean over all pairs

.. math::
    \widehat{\text{MMD}}{}^2 = \tfrac{1}{n(n-1)} \textstyle\sum_{i \ne j} h_{ij}, \qquad
    h_{ij} = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i).

Its expectation is 0 if both sets have the same distribution, so values about 0 and below occur. torchmetrics averages the same estimate
over random subsets; one estimate over all pairs varies less, and is a U-statistic, whose variance is known:

.. math::
    \text{Var} = \frac{4(n-2)\,\zeta_1 + 2\,\zeta_2}{n(n-1)}, \qquad
    \zeta_1 = \text{Var}_i\, E_j[h_{ij}], \qquad \zeta_2 = \text{Var}[h_{ij}].

Reference: Bińkowski et al., Demystifying MMD GANs, 2018, section 3, https://arxiv.org/abs/1801.01401; Gretton et al., A Kernel
Two-Sample Test, 2012, lemma 6; Hoeffding, A Class of Statistics with Asymptotically Normal Distribution, 1948, equation 5.13.
"""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

ROWS = 1000  # rows of the kernel's matrix that are computed at a time


class KernelDistance(Metric):
    """`update` takes features (B, D) of real images or of samples; `compute` gives `kid` and its standard error `kid_error`.

    Features are stored, and gathered over processes. If there are more of one kind, its last ones are not used.

    Raises:
        ValueError: In `compute`, if a kind has fewer than 3 features.
    """

    full_state_update = False
    real: list[Tensor]
    drawn: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("real", default=[], dist_reduce_fx="cat")
        self.add_state("drawn", default=[], dist_reduce_fx="cat")

    def update(self, features: Tensor, real: bool) -> None:
        (self.real if real else self.drawn).append(features.detach())

    def compute(self) -> dict[str, Tensor]:
        n = min(len(dim_zero_cat(parts)) if len(parts) else 0 for parts in (self.real, self.drawn))
        if n < 3:
            raise ValueError(f"a kernel distance expected 3 real images and 3 samples at least, got {n} of one kind")
        real, drawn = dim_zero_cat(self.real)[:n], dim_zero_cat(self.drawn)[:n]
        sums, squares = torch.zeros(n, dtype=torch.float64, device=real.device), torch.zeros((), dtype=torch.float64, device=real.device)
        blocks = list(zip(torch.arange(n, device=real.device).split(ROWS), real.split(ROWS), drawn.split(ROWS), strict=True))
        for number, (rows, x, y) in enumerate(blocks):
            for columns, others, other_drawn in blocks[number:]:  # h is symmetric: a block serves its rows and its columns
                h = cubic_kernel(x, others) + cubic_kernel(y, other_drawn) - cubic_kernel(x, other_drawn) - cubic_kernel(y, others)
                if columns is rows:
                    h.fill_diagonal_(0)
                else:
                    sums[columns] += h.sum(dim=0)
                    squares += h.square().sum()
                sums[rows] += h.sum(dim=1)
                squares += h.square().sum()
        means, pairs = sums / (n - 1), n * (n - 1)
        estimate = means.mean()
        of_pairs = squares / pairs - estimate.square()
        # The variance of the mean over n - 1 of the others contains a share of that of the pairs.
        of_means = (((n - 1) * means.var() - of_pairs) / (n - 2)).clamp_min(0)
        return {"kid": estimate, "kid_error": ((4 * (n - 2) * of_means + 2 * of_pairs) / pairs).sqrt()}


def cubic_kernel(a: Tensor, b: Tensor) -> Tensor:
    """k of all pairs, (N, D) and (M, D) to (N, M)."""
    products = a @ b.T / a.shape[1] + 1
    return products * products * products  # a power takes three times as long
