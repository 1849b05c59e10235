r"""Precision, recall, density and coverage: do samples lie where real images do, and real images where samples do?

With :math:`X` the features of N real images, :math:`Y` those of M samples, and :math:`B(X_i)` the ball around a point whose radius is the
distance to its k-th nearest neighbour among its own kind,

.. math::
    \text{precision} &= \tfrac1M \textstyle\sum_j 1[\exists i: Y_j \in B(X_i)], &
    \text{recall} &= \tfrac1N \textstyle\sum_i 1[\exists j: X_i \in B(Y_j)], \\
    \text{density} &= \tfrac1{kM} \textstyle\sum_j \sum_i 1[Y_j \in B(X_i)], &
    \text{coverage} &= \tfrac1N \textstyle\sum_i 1[\exists j: Y_j \in B(X_i)].

One outlier among the real images has a large ball, and one among the samples gives a high recall: density and coverage are more robust.
Between two halves of one set, density is 1 in expectation, and coverage is :math:`1 - 2^{-k}` for equal and large N and M.

Reference: Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, 2019, equations 1 and 2,
https://arxiv.org/abs/1904.06991; Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020, equations 3 and 4,
lemma 2, https://arxiv.org/abs/2002.09797.
"""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

ROWS = 1000  # points whose distances are computed at a time: memory grows with N or M, never with their product


class Neighbourhoods(Metric):
    """`update` takes features (B, D) of real images or of samples, as that of FID does; `compute` gives the four as scalars.

    Features are stored, and gathered over processes. Distances are Euclidean, in float64.

    Args:
        k: Number of neighbours; 5 is usual.
        recall: Whether precision and recall are computed next to density and coverage; recall needs the distances between all samples.
        real_radii: `radii` of the real images, (N,), where they are known from an earlier measurement with the same images.
    Raises:
        ValueError: In `compute`, if a kind has at most k points.
    """

    full_state_update = False
    real: list[Tensor]
    drawn: list[Tensor]

    def __init__(self, k: int = 5, recall: bool = True, real_radii: Tensor | None = None) -> None:
        super().__init__()
        self.k, self.recall, self.real_radii = k, recall, real_radii
        self.add_state("real", default=[], dist_reduce_fx="cat")
        self.add_state("drawn", default=[], dist_reduce_fx="cat")

    def update(self, features: Tensor, real: bool) -> None:
        (self.real if real else self.drawn).append(features.detach())

    def compute(self) -> dict[str, Tensor]:
        kinds = {"real images": self.real, "samples": self.drawn}
        for name, parts in kinds.items():
            if (n := sum(map(len, parts))) <= self.k:
                raise ValueError(f"neighbours of {name} with k={self.k} expected {self.k + 1} of them at least, got {n}")
        real, drawn = (dim_zero_cat(parts).double() for parts in kinds.values())
        real_radii = radii(real, self.k) if self.real_radii is None else self.real_radii
        drawn_radii = radii(drawn, self.k) if self.recall else None
        real_balls = torch.zeros(len(drawn), device=real.device)  # the number of balls that each sample lies in
        covered, recalled = [], []
        for centres, reach in zip(real.split(ROWS), real_radii.split(ROWS), strict=True):
            distances = torch.cdist(centres, drawn)
            inside = distances <= reach[:, None]
            real_balls += inside.sum(dim=0)
            covered.append(inside.any(dim=1))
            if drawn_radii is not None:
                recalled.append((distances <= drawn_radii).any(dim=1))
        found = {"density": real_balls.mean() / self.k, "coverage": torch.cat(covered).float().mean()}
        if not self.recall:
            return found
        return {"precision": (real_balls > 0).float().mean(), "recall": torch.cat(recalled).float().mean()} | found


def radii(points: Tensor, k: int) -> Tensor:
    """Distance of each point, (N, D), to its k-th nearest other one, (N,)."""
    parts = [torch.cdist(part, points).topk(k + 1, dim=1, largest=False).values for part in points.split(ROWS)]
    return torch.cat([part[:, -1] for part in parts])  # the nearest is the point itself
