"""K-means clusters of the training images, over all images or within each class: labels that need no annotation."""

import math

import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Generator, Tensor, nn

from lit_models.contracts import ImageShape
from lit_models.nn.blocks import MNIST


class Clusters(nn.Module):
    """The nearest of `k` centres, among those of an image's group; there are `groups` groups.

    The centres (groups, k, pixels) and the share of its group's images that each cluster has, (groups, k), are buffers. The clusters of
    group g are numbered from g k on.
    """

    def __init__(self, k: int, groups: int = 1, image_shape: ImageShape = MNIST) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("centres", torch.zeros(groups, k, math.prod(image_shape)))
        self.register_buffer("shares", torch.ones(groups, k) / k)
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, images: Tensor, groups: Tensor) -> Tensor:
        """The cluster of each image, (B,): images (B, *image_shape) belong to groups (B,)."""
        distances = torch.cdist(images.flatten(1), self.centres.flatten(0, 1))  # (B, groups k)
        others = torch.arange(distances.shape[1], device=groups.device) // self.k != groups[:, None]
        return distances.masked_fill(others, torch.inf).argmin(dim=1)

    def fit(self, images: Tensor, groups: Tensor) -> None:
        """Fit the centres by scikit-learn to at most 20,000 of `images`, (N, *image_shape), which belong to groups (N,)."""
        for group, (centres, shares) in enumerate(zip(self.centres, self.shares, strict=True)):
            own = images[:20_000][groups[:20_000] == group].flatten(1).cpu()
            if len(own) < self.k:
                raise ValueError(
                    f"expected at least {self.k} images in each class, one per cluster\n"
                    f"got {len(own)} of {len(images):,} images in class {group}\ntake fewer clusters (--model.clusters 1), or add images"
                )
            found = MiniBatchKMeans(self.k, batch_size=2048, n_init=3, random_state=0).fit(own.numpy())
            centres.copy_(torch.from_numpy(found.cluster_centers_))
            shares.copy_(torch.from_numpy(found.labels_).long().bincount(minlength=self.k) / len(own))
        self.fitted.fill_(True)

    def draw(self, groups: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw the clusters of random training images that belong to groups (n,), (n,)."""
        return groups * self.k + torch.multinomial(self.shares.cpu()[groups], 1, generator=generator)[:, 0]
