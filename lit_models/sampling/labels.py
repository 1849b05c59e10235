"""The labels that `sample` accepts."""

import torch
from torch import Tensor


def needed(classes: int | None, model: str) -> int:
    """The number of classes; ValueError if a model that needs labels is made for images without labels."""
    if classes is None or classes < 1:
        raise ValueError(
            f"{model} expected labelled images, got classes {classes}: give labels, or train a model that needs none, such as VAE"
        )
    return classes


def labels_for(n: int, labels: Tensor | int | list[int] | None, classes: int | None) -> Tensor | None:
    """`n` labels on the CPU, (n,), or None if none are given; one integer stands for all `n`.

    Raises:
        ValueError: If `n` is below 1, if labels are given and `classes` is None, or if the labels do not fit.
    """
    if n < 1:
        raise ValueError(f"expected at least one sample, got n={n}")
    if labels is None:
        return None
    if classes is None:
        raise ValueError("this sampler takes no labels: leave them out, or name a sampler that takes some")
    if isinstance(labels, str):
        raise ValueError(f"expected labels as integers, got {labels!r}: one for all samples, or one per sample")
    found = torch.full((n,), labels) if isinstance(labels, int) else torch.as_tensor(labels).cpu()
    if found.shape != (n,):
        raise ValueError(f"expected {n} labels, one per sample, got shape {tuple(found.shape)}")
    if found.min() < 0 or found.max() >= classes:
        raise ValueError(f"labels must lie in 0 to {classes - 1}, got {int(found.min())} to {int(found.max())}")
    return found.long()
