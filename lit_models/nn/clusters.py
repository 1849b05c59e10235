"""Labels that nobody gave: k-means clusters of the training images, of all or within each class."""

import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Generator, Tensor, nn

from lit_models.losses import PIXELS


class Clusters(nn.Module):
    """The nearest of `k` centres in each of `groups` groups of images.

    Centres (groups, k, 784) and the shares of a group's images that each has, (groups, k), are buffers. Group g's clusters are numbered
    from g k on.
    """

    def __init__(self, k: int, groups: int = 1) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("centres", torch.zeros(groups, k, PIXELS))
        self.register_buffer("shares", torch.ones(groups, k) / k)
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, images: Tensor, groups: Tensor) -> Tensor:
        """Clusters of images (B, 1, 28, 28) that belong to groups (B,), (B,)."""
        distances = torch.cdist(images.flatten(1), self.centres.flatten(0, 1))  # (B, groups k)
        others = torch.arange(distances.shape[1], device=groups.device) // self.k != groups[:, None]
        return distances.masked_fill(others, torch.inf).argmin(dim=1)

    def fit(self, images: Tensor, groups: Tensor) -> None:
        """By scikit-learn, to at most 20,000 of `images`, (N, 1, 28, 28), that belong to groups (N,)."""
        for group, (centres, shares) in enumerate(zip(self.centres, self.shares, strict=True)):
            own = images[:20_000][groups[:20_000] == group].flatten(1).cpu()
            if len(own) < self.k:
                raise ValueError(f"{self.k} clusters expected as many images at least, got {len(own)}")
            found = MiniBatchKMeans(self.k, batch_size=2048, n_init=3, random_state=0).fit(own.numpy())
            centres.copy_(torch.from_numpy(found.cluster_centers_))
            shares.copy_(torch.from_numpy(found.labels_).long().bincount(minlength=self.k) / len(own))
        self.fitted.fill_(True)

    def draw(self, groups: Tensor, generator: Generator | None = None) -> Tensor:
        """Clusters of random training images of groups (n,), (n,)."""
        return groups * self.k + torch.multinomial(self.shares.cpu()[groups], 1, generator=generator)[:, 0]
