"""A .npy file of images, with labels in a second one next to it if it is there: images.npy and labels.npy, x.npy and y.npy."""

from pathlib import Path

import numpy as np

from datamodules.readers.arrays import FORMS, ArrayPixels
from datamodules.readers.found import Found, Part
from datamodules.refusal import refusal


def read(path: Path, size: int | None) -> Found:
    array = _mapped(path)
    labels_file = _labels_of(path)
    labels = None if labels_file is None else np.array(_mapped(labels_file))
    said = "an array (.npy)" + (f" with labels of {labels_file.name}" if labels_file else "")
    pixels = ArrayPixels(path, array.shape, array.dtype, array=array)
    return Found(said, {"all": Part(pixels, labels)}, [path])


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise refusal(FORMS, f"{error}", path, "write it anew with numpy.save") from error


def _labels_of(path: Path) -> Path | None:
    stem = path.stem
    names = [stem.replace(images, labels) for images, labels in (("images", "labels"), ("image", "label")) if images in stem]
    names += [f"y{stem[1:]}"] if stem == "x" or stem.startswith("x_") else []
    return next((path.with_name(f"{name}.npy") for name in [*names, f"{stem}_labels"] if path.with_name(f"{name}.npy").is_file()), None)
