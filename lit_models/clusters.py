"""Labels that nobody gave: k-means clusters of the training images."""

import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Generator, Tensor, nn

from lit_models.losses import PIXELS


class Clusters(nn.Module):
    """Images (B, 1, 28, 28) to the nearest of `k` centres, (B,); centres (k, 784) and the clusters' shares (k,) are buffers."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(k, PIXELS))
        self.register_buffer("shares", torch.ones(k) / k)
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, images: Tensor) -> Tensor:
        return torch.cdist(images.flatten(1), self.centres).argmin(dim=1)

    def fit(self, images: Tensor) -> None:
        """By scikit-learn, to at most 20,000 of `images`, (N, 1, 28, 28)."""
        if len(images) < len(self.centres):
            raise ValueError(f"{len(self.centres)} clusters expected as many images at least, got {len(images)}")
        some = images[:20_000].flatten(1).cpu()
        found = MiniBatchKMeans(len(self.centres), batch_size=2048, n_init=3, random_state=0).fit(some.numpy())
        self.centres.copy_(torch.from_numpy(found.cluster_centers_))
        self.shares.copy_(torch.from_numpy(found.labels_).long().bincount(minlength=len(self.centres)) / len(some))
        self.fitted.fill_(True)

    def draw(self, n: int, generator: Generator | None = None) -> Tensor:
        """Clusters of `n` random training images, (n,)."""
        return torch.multinomial(self.shares.cpu(), n, replacement=True, generator=generator)
