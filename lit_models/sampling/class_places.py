"""Where each class lives in the code: the means and spreads of its training codes, or the anchor that the model gives it."""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.contracts import HasAnchors, HasCodebook


def code_vectors(model: LightningModule) -> tuple[Tensor, Tensor]:
    """Code vectors and labels of the stored training images, in the form that `encode` gives."""
    codes, labels = model.training_codes.get(model.device)
    return (model.lookup(codes) if isinstance(model, HasCodebook) else codes), labels


def class_means(codes: Tensor, labels: Tensor, classes: int = 10) -> Tensor:
    """Mean code of each class, (N, ...) and (N,) to (classes, ...); NaN for a class that does not occur."""
    return torch.stack([codes[labels == label].mean(dim=0) for label in range(classes)])


def class_spreads(codes: Tensor, labels: Tensor, classes: int = 10) -> Tensor:
    """Standard deviation of each class's codes about their mean, per element of the code, (classes, ...).

    It is 0 for a class with one code, and NaN for a class that does not occur.
    """
    groups = (codes[labels == label] for label in range(classes))
    return torch.stack([own.std(dim=0) if len(own) > 1 else own.mean(dim=0) * 0 for own in groups])


def class_places(model: LightningModule) -> tuple[Tensor, Tensor, str]:
    """The place of each class in the code, (classes, ...), the unit of noise about it, (classes, ...), and the name of this unit.

    For a model with anchors the places are the anchors, and the unit is half the distance between neighbours. For other models they are the
    mean and the standard deviation of the class's training codes.
    """
    if isinstance(model, HasAnchors):
        anchors = model.anchors()
        distance = torch.pdist(anchors).min()
        return anchors, (distance / 2).expand_as(anchors), "half-distances between anchors"
    codes, labels = code_vectors(model)
    return class_means(codes, labels), class_spreads(codes, labels), "class spreads"
