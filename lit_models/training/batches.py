"""The batches that models are trained on: (image, label) pairs of any loader, or images alone."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor


def images_of(module: LightningModule, batch: Any) -> tuple[Tensor, Tensor | None]:
    """Images (B, C, H, W) and labels (B,) of a batch; labels are None if the loader gives images alone.

    Raises:
        ValueError: In the first batch that a model sees: if images have another shape than the model's `image_shape`, another type, or
            pixels outside [0, 1].
    """
    images, labels = (batch[0], batch[1] if len(batch) > 1 else None) if isinstance(batch, list | tuple) else (batch, None)
    if not getattr(module, "_has_seen_a_batch", False):
        check_images(images, module)
        module._has_seen_a_batch = True
    return images, labels


def labelled_images_of(module: LightningModule, batch: Any, classes: int | None) -> tuple[Tensor, Tensor]:
    """As `images_of`, for a model that cannot do without labels; label 0 for all images if `classes` is None.

    Raises:
        ValueError: If there are no labels, or in the first batch if they are not integers from 0 to `classes` - 1.
    """
    first = not getattr(module, "_has_seen_a_batch", False)
    images, labels = images_of(module, batch)
    if classes is None:
        return images, torch.zeros(len(images), dtype=torch.long, device=images.device)
    labels = known(module, labels)
    if first:
        check_labels(labels, classes)
    return images, labels


def known(module: LightningModule, labels: Tensor | None) -> Tensor:
    """The labels; ValueError if there are none."""
    if labels is None:
        raise ValueError(
            f"{type(module).__name__} expected batches of (image, label), got images alone:"
            " give labels, or train a model that needs none, such as VAE()"
        )
    return labels


def check_images(images: Any, module: LightningModule) -> None:
    expected = tuple(getattr(module, "image_shape", images.shape[1:] if isinstance(images, Tensor) else (1, 28, 28)))
    numbers = ", ".join(map(str, expected))
    shape = f"(B, {numbers})"
    if not isinstance(images, Tensor):
        raise ValueError(f"expected a tensor of images {shape}, got {type(images).__name__}: add transforms.ToTensor() to the data set")
    if images.shape[1:] != expected:
        same_size = images[0].numel() == math.prod(expected) and images.ndim < 4
        remedy = (
            f"images.view(-1, {numbers}) has this shape"
            if same_size
            else f"resize them, or make the model for them: {type(module).__name__}(image_shape={tuple(images.shape[1:])})"
        )
        raise ValueError(f"expected images {shape}, got {tuple(images.shape)}: {remedy}")
    if not images.is_floating_point():
        raise ValueError(f"expected floating-point pixels in [0, 1], got {images.dtype}: divide bytes by 255")
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 1:
        raise ValueError(f"expected pixels in [0, 1], got {low:g} to {high:g}: leave out transforms.Normalize, or divide by 255")


def check_labels(labels: Tensor, classes: int) -> None:
    if labels.dtype not in (torch.int64, torch.int32, torch.uint8):
        raise ValueError(f"expected labels as integers, got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"expected labels 0 to {classes - 1}, got {int(labels.min())} to {int(labels.max())}")
