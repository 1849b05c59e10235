r"""Vector quantiser: a codebook learned by exponential moving averages.

Each vector is replaced by the nearest of K codes. The codebook follows the vectors given to it,

.. math:: N_k \leftarrow \gamma N_k + (1-\gamma) n_k, \quad m_k \leftarrow \gamma m_k + (1-\gamma) \textstyle\sum_{i: k_i = k} z_i,
          \quad e_k = m_k / N_k ,

with the counts in the quotient smoothed by Laplace's rule. The codebook starts from k-means on the first batch, and codes that are hardly
used are moved to encoder outputs (revival).

Reference: van den Oord et al., Neural Discrete Representation Learning, 2017, appendix A.1. https://arxiv.org/abs/1711.00937
Revival: Dhariwal et al., Jukebox, 2020, section 3.1. https://arxiv.org/abs/2005.00341
"""

import torch
from torch import Tensor, nn
from torch import distributed as dist

from lit_models.training.distributed import is_distributed, reduce_over_processes


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all processes in the order that one process would have: the loader gives rows r, r + world, ... to rank r."""
    if not is_distributed():
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def single_at_least(vectors: Tensor) -> Tensor:
    """At least in float32: sums and distances of codes need this precision."""
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest code, (N, D) and (K, D) to (N,); the squared norm of a vector is common to all codes."""
    vectors, codebook = single_at_least(vectors), single_at_least(codebook)
    return torch.addmm(codebook.square().sum(dim=1), vectors, codebook.T, alpha=-2).argmin(dim=1)


def sums_by_code(vectors: Tensor, indices: Tensor, n_codes: int) -> tuple[Tensor, Tensor]:
    """The number of vectors that are nearest to each code, (K,), and their sum, (K, D), over all processes."""
    vectors = single_at_least(vectors)
    counts = torch.bincount(indices, minlength=n_codes).to(vectors)
    sums = vectors.new_zeros(n_codes, vectors.shape[1]).index_add_(0, indices, vectors)
    return reduce_over_processes(counts), reduce_over_processes(sums)


class VectorQuantiser(nn.Module):
    """Args:
    decay: Decay of the moving averages.
    revive_below: A code whose use is below this share of the average use is moved; 0 never moves one.
    """

    commits = True  # without a commitment loss, vectors could run away from their codes

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    updates: Tensor

    def __init__(self, n_codes: int, dim: int, decay: float = 0.99, revive_below: float = 0.02) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}: 0.99 is usual")
        self.n_codes, self.dim, self.decay, self.revive_below = n_codes, dim, decay, revive_below
        self.register_buffer("codebook", torch.zeros(n_codes, dim))
        self.register_buffer("counts", torch.zeros(n_codes))
        self.register_buffer("sums", torch.zeros(n_codes, dim))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def bound(self, vectors: Tensor) -> Tensor:
        """Encoder outputs as they are: codes may lie anywhere."""
        return vectors

    def indices(self, vectors: Tensor) -> Tensor:
        """Nearest codes of a grid of vectors, (B, D, H, W) to (B, H, W)."""
        batch, dim, height, width = vectors.shape
        rows = vectors.permute(0, 2, 3, 1).reshape(-1, dim)
        return nearest(rows, self.codebook).view(batch, height, width)

    def lookup(self, indices: Tensor) -> Tensor:
        """Code vectors of a grid of indices, (B, H, W) to (B, D, H, W)."""
        return nn.functional.embedding(indices, self.codebook).permute(0, 3, 1, 2)

    @torch.no_grad()
    def update(self, vectors: Tensor) -> None:
        """Move the codebook towards a batch of vectors, (B, D, H, W); the first call places it by k-means."""
        rows = single_at_least(vectors.permute(0, 2, 3, 1).flatten(0, 2))  # (N, D)
        if self.updates == 0:
            self._place_by_kmeans(vectors)
        counts, sums = sums_by_code(rows, nearest(rows, self.codebook), self.n_codes)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        dead = self.counts < self.revive_below * self.counts.mean()
        if dead.any():
            # Both running sums start anew; otherwise the old average would pull the code back in this same step.
            self.counts[dead] = self.counts.mean()
            self.sums[dead] = self._pick(vectors, int(dead.sum())) * self.counts[dead, None]
        smoothed = (self.counts + 1e-5) / (self.counts.sum() + self.n_codes * 1e-5) * self.counts.sum()
        self.codebook.copy_(self.sums / smoothed[:, None])
        self.updates += 1

    def _pick(self, vectors: Tensor, n: int) -> Tensor:
        """`n` vectors of the batch of all processes, the same on each of them: the draw depends only on the number of updates."""
        rows = single_at_least(gather_rows(vectors).permute(0, 2, 3, 1).flatten(0, 2))
        generator = torch.Generator().manual_seed(int(self.updates))
        return rows[torch.randint(len(rows), (n,), generator=generator).to(rows.device)]

    def _place_by_kmeans(self, vectors: Tensor, rounds: int = 10) -> None:
        rows = single_at_least(vectors.permute(0, 2, 3, 1).flatten(0, 2))
        self.codebook.copy_(self._pick(vectors, self.n_codes))
        for _ in range(rounds):
            counts, sums = sums_by_code(rows, nearest(rows, self.codebook), self.n_codes)
            used = counts > 0
            self.codebook[used] = sums[used] / counts[used, None]
        self.counts.copy_(counts.clamp_min(1))
        self.sums.copy_(self.codebook * self.counts[:, None])
