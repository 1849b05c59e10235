"""Asks of each kind of corruption whether it makes sense for a data set: a mirrored shirt is a shirt, a mirrored 3 is no digit.

The question is put to a classifier of clean images, which has never seen a corrupted one. An image *passes for real* if three things hold:

- the classifier sees the class of the image that it was made of, or of one of the two;
- it is as sure of it as it is for the surest 90 % of real images;
- the image is as near to a real image, in the direction of the classifier's features, as the nearest 90 % of real images are.

A kind is left out if its images pass for real at least `PASSING` times as often as real images do: to refuse it would be to refuse real
images. Otherwise the judge learns to refuse it, or is tested on it. Mirrored digits are asked in the form that is written for digits, with
the classes whose mirror image is no digit; where that is left out, or for data that is not of digits, mirrored images of all classes are
asked.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.corruptions import FOR_DIGITS, KINDS, NOT_SYMMETRIC, PAIRED, Spoil, crowds, gaussian, mirrored, noise, partners

PASSING = 0.5  # times as often as real images
USUAL = 0.9  # share of real images that sureness and nearness are taken from
ASKED = 2000  # images
PART = 500  # images at a time
OF_NO_CLASS = (crowds, gaussian, noise)  # made of many images, or of none


@torch.no_grad()
def passing(classifier: Classifier, known: Tensor, images: Tensor, labels: Tensor, kinds: dict[str, Spoil]) -> dict[str, float]:
    """How often images of each kind pass for real, relative to real images.

    Args:
        known: Training images (N, C, H, W) that an image has to be near to.
        images, labels: Real images that the classifier was not trained on.
    """
    reference = normalize(torch.cat([classifier.features(part) for part in known.split(PART)]), dim=1)

    def seen(given: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of the classes, and the distance to the nearest known image."""
        found = torch.cat([classifier.features(part) for part in given.split(PART)])
        nearest = torch.cat([torch.cdist(part, reference).amin(dim=1) for part in normalize(found, dim=1).split(PART)])
        return classifier.head(found).softmax(dim=1), nearest

    chances, distances = seen(images)
    sure, near = chances.amax(dim=1).quantile(1 - USUAL), distances.quantile(USUAL)

    def share(chances: Tensor, distances: Tensor, right: Tensor) -> float:
        surest, classes = chances.max(dim=1)
        seen_right = right.gather(1, classes[:, None])[:, 0]
        return float((seen_right & (surest >= sure) & (distances <= near)).double().mean())

    real = share(chances, distances, _one_hot(labels, chances.shape[1]))
    found = {}
    for name, kind in kinds.items():
        made = kind(images, labels, torch.Generator().manual_seed(0))
        found[name] = share(*seen(made), _right_classes(kind, name, labels, chances.shape[1])) / max(real, 1e-9) if len(made) else 0.0
    return found


def left_out(
    classifier: Classifier, known: Tensor, images: Tensor, labels: Tensor, digits: bool
) -> tuple[dict[str, str], dict[str, float]]:
    """The kinds that make sense for a data set with the reason, and what was measured of each kind.

    Args:
        digits: Whether the classes are the ten digits, in their order.
    """
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:ASKED]
    found = passing(classifier, known, images[rows], labels[rows], KINDS | {"mirrored": mirrored})
    measured = found.pop("mirrored")
    reasons = {name: _reason(value) for name, value in found.items() if value >= PASSING}
    if not digits:
        reasons[FOR_DIGITS] = "the classes are no digits: mirrored images of all classes take its place"
        del found[FOR_DIGITS]
    if FOR_DIGITS in reasons:
        found["mirrored"] = measured
        reasons |= {"mirrored": _reason(measured)} if measured >= PASSING else {}
    return reasons, found


def _reason(value: float) -> str:
    return f"such images pass for real {value:.2f} times as often as real images do; the limit is {PASSING:g}"


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).bool()


def _right_classes(kind: Spoil, name: str, labels: Tensor, classes: int) -> Tensor:
    """The classes that count as right for each image that a kind makes, (M, classes)."""
    if kind in PAIRED:
        first, second = partners(labels, torch.Generator().manual_seed(0))
        return _one_hot(labels[first], classes) | _one_hot(labels[second], classes)
    if kind in OF_NO_CLASS:
        return torch.ones(len(labels), classes, dtype=torch.bool)
    own = labels[torch.isin(labels, torch.tensor(NOT_SYMMETRIC))] if name == FOR_DIGITS else labels
    return _one_hot(own, classes)
