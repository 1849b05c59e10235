"""What a trained classifier says of images: which digit, and whether it is one at all."""

import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn.functional import normalize

from lit_models.classifier import Classifier


@torch.no_grad()
def classify(classifier: Classifier, images: Tensor) -> Tensor:
    """The digit of each image, (N,)."""
    return torch.cat([classifier.classify(part).argmax(dim=1) for part in images.split(500)])


@torch.no_grad()
def features(classifier: Classifier, images: Tensor) -> Tensor:
    """The direction of what the classifier's last layer sees, (N, 2048), of length 1."""
    return normalize(torch.cat([classifier.net[:-1](part) for part in images.split(500)]), dim=1)


def nearest_distances(rows: Tensor, others: Tensor) -> Tensor:
    """Euclidean distance of each row, (N, ...), to the nearest of `others`, (M, ...); scikit-learn never holds all N M of them."""
    known = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(others.flatten(1).numpy())
    distances, _ = known.kneighbors(rows.flatten(1).numpy())
    return torch.from_numpy(distances[:, 0]).float()


class RealDigits:
    """Whether images lie where real digits do: as near to one of 10,000 training images, in features, as 95 % of held-out real ones.

    A classifier's confidence would call noise a digit; so would the distance from a class mean.
    """

    def __init__(self, classifier: Classifier, train: Tensor, held_out: Tensor) -> None:
        self.classifier, self.known = classifier, features(classifier, train[:10_000])
        self.limit = self.distances(held_out).quantile(0.95)

    def distances(self, images: Tensor) -> Tensor:
        """To the nearest known image, (N,)."""
        return nearest_distances(features(self.classifier, images), self.known)

    def holds(self, images: Tensor) -> Tensor:
        """Which images are digits, (N,) bool."""
        return self.distances(images) <= self.limit

    def share(self, images: Tensor) -> float:
        return float(self.holds(images).double().mean())


def within_class_variance(images: Tensor, labels: Tensor) -> float:
    """Variance of each pixel within a class, averaged over pixels and classes."""
    return float(torch.stack([images[labels == digit].var(dim=0).mean() for digit in labels.unique()]).mean())
