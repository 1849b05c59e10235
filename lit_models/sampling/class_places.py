"""Where each class lives in the code: the means and spreads of its training codes, or the anchor that the model gives it."""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.contracts import HasAnchors, HasCodebook


def code_vectors(model: LightningModule) -> tuple[Tensor, Tensor]:
    """Code vectors and labels of the stored training images, in the form that `encode` gives."""
    codes, labels = model.training_codes.get(model.device)
    return (model.lookup(codes) if isinstance(model, HasCodebook) else codes), labels


def class_count(model: LightningModule, labels: Tensor) -> int:
    """The number of classes that a model was made for, or else one more than the highest label.

    Raises:
        ValueError: For images without labels.
    """
    if len(labels) == 0 or labels.min() < 0:
        raise ValueError("expected codes of labelled images, got images without labels")
    return model.hparams.get("classes") or int(labels.max()) + 1


def class_means(codes: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean code of each class, (N, ...) and (N,) to (classes, ...); NaN for a class that does not occur."""
    return torch.stack([codes[labels == label].mean(dim=0) for label in range(classes)])


def class_spreads(codes: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Standard deviation of each class's codes about their mean, per element of the code, (classes, ...).

    It is 0 for a class with one code, and NaN for a class that does not occur.
    """
    groups = (codes[labels == label] for label in range(classes))
    return torch.stack([own.std(dim=0) if len(own) > 1 else own.mean(dim=0) * 0 for own in groups])


def class_places(model: LightningModule) -> tuple[Tensor, Tensor, str]:
    """The place of each class in the code, (classes, ...), the unit of noise about it, (classes, ...), and the name of this unit.

    For a model with anchors the places are the anchors, and the unit is half the distance between neighbours. For other models they are the
    mean and the standard deviation of the class's training codes.

    Raises:
        ValueError: For a model without anchors that was trained on images without labels.
    """
    if isinstance(model, HasAnchors):
        anchors = model.anchors()
        distance = torch.pdist(anchors).min()
        return anchors, (distance / 2).expand_as(anchors), "half-distances between anchors"
    codes, labels = code_vectors(model)
    classes = class_count(model, labels)
    return class_means(codes, labels, classes), class_spreads(codes, labels, classes), "class spreads"
