"""What a trained classifier says of images: which digit, and whether it is one at all."""

from dataclasses import dataclass

import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from torch import Tensor

from lit_models.classifier import Classifier


@torch.no_grad()
def classify(classifier: Classifier, images: Tensor) -> Tensor:
    """The digit of each image, (N,)."""
    return torch.cat([classifier.classify(part).argmax(dim=1) for part in images.split(500)])


@torch.no_grad()
def features(classifier: Classifier, images: Tensor) -> Tensor:
    """What the classifier's last layer sees, (N, 2048)."""
    return torch.cat([classifier.net[:-1](part) for part in images.split(500)]).double()


@dataclass
class RealDigits:
    """Whether images lie where real digits do: near enough to a class mean of the classifier's features.

    The distance is Mahalanobis's, with the covariance within classes of the first 64 principal components of the features; near
    enough is what 99 % of real images not used in the fit are. A classifier's confidence would call noise a digit.
    """

    classifier: Classifier
    pca: PCA
    means: Tensor
    precision_root: Tensor
    limit: float = float("inf")

    @classmethod
    def fit(cls, classifier: Classifier, train: tuple[Tensor, Tensor], held_out: Tensor) -> "RealDigits":
        (images, labels), n = train, 20_000
        pca = PCA(64, svd_solver="covariance_eigh")
        seen = torch.from_numpy(pca.fit_transform(features(classifier, images[:n]).numpy()))
        means = torch.stack([seen[labels[:n] == digit].mean(dim=0) for digit in range(10)])
        within = LedoitWolf(assume_centered=True).fit((seen - means[labels[:n]]).numpy())
        real = cls(classifier, pca, means, torch.linalg.cholesky(torch.from_numpy(within.precision_)))
        real.limit = float(real.distances(held_out).quantile(0.99))
        return real

    def distances(self, images: Tensor) -> Tensor:
        """From the nearest class mean, (N,)."""
        seen = torch.from_numpy(self.pca.transform(features(self.classifier, images).numpy()))
        return torch.cdist(seen @ self.precision_root, self.means @ self.precision_root).min(dim=1).values

    def holds(self, images: Tensor) -> Tensor:
        """Which images are digits, (N,) bool."""
        return self.distances(images) <= self.limit

    def share(self, images: Tensor) -> float:
        return float(self.holds(images).double().mean())


def within_class_variance(images: Tensor, labels: Tensor) -> float:
    """Variance of each pixel within a class, averaged over pixels and classes."""
    return float(torch.stack([images[labels == digit].var(dim=0).mean() for digit in labels.unique()]).mean())
