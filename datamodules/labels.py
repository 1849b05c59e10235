"""Labels as they stand in a file, brought to 0, 1, 2, ... with names."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.refusal import refusal

REMEDY = "number the classes 0, 1, 2, ... or name them, one label per image; or leave the labels out"


def classes_of(values: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels from 0 on, (N,) int64, and the names of the classes in sorted order.

    Raises:
        ValueError: If labels are negative, no whole numbers or missing, if there is a single class, or if one has a single
        image.
    """
    values = values.reshape(len(values), -1)
    if values.shape[1] != 1:
        raise refusal("one label per image", f"{values.shape[1]} numbers per image", path, REMEDY)
    values = _whole_numbers(values[:, 0], path)
    names, labels, counts = np.unique(values, return_inverse=True, return_counts=True)
    if values.dtype.kind in "iu" and names[0] < 0:
        raise refusal("labels from 0 on", f"label {names[0]}", path, REMEDY)
    if len(names) < 2:
        raise refusal("labels of at least 2 classes", f"{len(values)} labels that are all {names[0]}", path, "leave the labels out")
    if len(names) > len(values) / 2:
        raise refusal("at least 2 images per class", f"{len(names)} different labels of {len(values)} images", path, REMEDY)
    if counts.min() < 2:  # out of range, most often: a slip in one row
        raise refusal("at least 2 images per class", f"label {names[counts.argmin()]} of a single image", path, REMEDY)
    return labels.reshape(-1), tuple(str(name) for name in names)


def as_tensor(labels: np.ndarray, classes: int) -> Tensor:
    return torch.from_numpy(labels.astype(np.uint8 if classes <= 256 else np.int64))


def _whole_numbers(values: np.ndarray, path: Path) -> np.ndarray:
    """Integers or strings. Strings that are all numbers become integers."""
    if values.dtype.kind == "b":
        return values.astype(np.int64)
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if values.dtype.kind in "SU":
        values = np.char.strip(values.astype(str))
        if (values == "").any():
            raise refusal("a label for each image", f"none for image {int(np.argmax(values == ''))}", path, REMEDY)
        try:
            numbers = values.astype(np.float64)
        except ValueError:
            return values
    elif values.dtype.kind == "f":
        numbers = values.astype(np.float64)
    else:
        raise refusal("labels that are whole numbers or words", f"labels of type {values.dtype}", path, REMEDY)
    wrong = ~np.isfinite(numbers) | (numbers != np.round(numbers))
    if wrong.any():
        raise refusal("labels that are whole numbers", f"label {numbers[wrong][0]:g}", path, REMEDY)
    return numbers.astype(np.int64)
