"""Images as others made them, of any usual size, scale and polarity, as images (N, 1, 28, 28) in [0, 1], white on black.

Each change is noted in one sentence: a measure of images that were changed in silence would be a measure of something else.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

SIDE = 28
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
SUFFIXES = (".npz", ".npy")


def read_images(path: Path) -> tuple[Tensor, Tensor | None, list[str]]:
    """Images (N, 1, 28, 28) in [0, 1], their labels (N,) if the file or folder has them, and notes on what was changed.

    Args:
        path: An array file with `images` and, optionally, `labels` (.npz; a .npy file has images alone), or a folder of pictures.
            The names of its subfolders are labels if all of them are numbers.
    Raises:
        ValueError: If there are no images there, or they cannot be digits: what was expected, what was found.
    """
    if path.is_dir():
        array, labels = _pictures(path)
    elif path.suffix in SUFFIXES and path.is_file():
        array, labels = _array(path)
    else:
        found = f"a {path.suffix or 'file without a suffix'}" if path.exists() else "no such file or folder"
        raise ValueError(f"expected samples in a folder of pictures or in a file {', '.join(SUFFIXES)} at {path}\ngot {found}")
    images, notes = as_digits(array)
    return images, None if labels is None else check_labels(labels, len(images)), notes


def read_labels(path: Path, n: int) -> Tensor:
    """Labels (N,) from an array file (.npy, .npz) or from a text file with one number per line."""
    if path.suffix not in (*SUFFIXES, ".txt", ".csv") or not path.is_file():
        raise ValueError(f"expected labels in a file {', '.join(SUFFIXES)}, .txt or .csv\ngot {path}")
    try:
        array = np.loadtxt(path, delimiter=",", ndmin=1) if path.suffix in (".txt", ".csv") else _array(path, "labels")[0]
    except ValueError as error:
        raise ValueError(f"expected one label per line in {path}\ngot {error}") from error
    return check_labels(array, n)


def check_labels(labels: Any, n: int, classes: int = 10) -> Tensor:
    found = torch.as_tensor(np.asarray(labels)).flatten()
    if len(found) != n:
        raise ValueError(f"expected one label per image, {n}\ngot {len(found)} labels")
    if not torch.equal(found, found.long().to(found.dtype)) or not 0 <= int(found.min()) <= int(found.max()) < classes:
        raise ValueError(f"expected labels from 0 to {classes - 1}\ngot values from {float(found.min()):g} to {float(found.max()):g}")
    return found.long()


def as_digits(array: Any) -> tuple[Tensor, list[str]]:
    """Images (N, 1, 28, 28) in [0, 1], white on black, and notes on what was changed.

    Args:
        array: (N, H, W), (N, 1, H, W), (N, 3, H, W), (N, H, W, 1), (N, H, W, 3) or (N, 784), as integers from 0 to 255, or as floats in
            [0, 1], [-1, 1] or [0, 255].
    """
    images, notes = _four_dimensions(torch.as_tensor(np.asarray(array)))
    images, scale = _unit_range(images)
    notes += scale
    if images.shape[1] > 1:
        images, channels = images[:, :3].mean(dim=1, keepdim=True), images.shape[1]
        notes.append(f"{channels} channels: their mean is taken")
    border = torch.cat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], dim=2)
    if float(border.mean()) > 0.5:
        images = 1 - images
        notes.append("the border is bright, so digits are black on white: black and white are exchanged")
    images, size = _side_of_28(images)
    notes += size
    if float(images.var(dim=0).sum()) == 0 and len(images) > 1:
        notes.append("all images are equal")
    return images, notes


def _four_dimensions(images: Tensor) -> tuple[Tensor, list[str]]:
    if images.ndim == 2 and images.shape[1] == SIDE**2:
        return images.view(-1, 1, SIDE, SIDE), []
    if images.ndim == 3:
        return images[:, None], []
    if images.ndim == 4 and images.shape[1] in (1, 3, 4):
        return images, []
    if images.ndim == 4 and images.shape[3] in (1, 3, 4):
        return images.permute(0, 3, 1, 2), []
    raise ValueError(
        f"expected images (N, H, W), (N, C, H, W), (N, H, W, C) or (N, {SIDE**2})\ngot an array of shape {tuple(images.shape)}"
    )


def _unit_range(images: Tensor) -> tuple[Tensor, list[str]]:
    if images.numel() == 0:
        raise ValueError("expected at least one image\ngot none")
    whole = not images.is_floating_point()
    images = images.float()
    bad = (~images.isfinite()).flatten(1).any(dim=1).nonzero()[:, 0]
    if len(bad):
        raise ValueError(f"expected finite pixels\ngot NaN or infinity in {len(bad)} images, the first is number {int(bad[0])}")
    low, high = float(images.min()), float(images.max())
    if low >= 0 and high <= 1:
        return images, ["integers of 0 and 1 only: taken for binarised images"] if whole and high == 1 else []
    if low >= 0 and high <= 255:
        return images / 255, [] if whole else [f"floats up to {high:.4g}: divided by 255"]
    if low >= -1.001 and high <= 1.001:
        return ((images + 1) / 2).clamp(0, 1), ["pixels in [-1, 1]: moved to [0, 1]"]
    if low >= -0.2 and high <= 1.2:
        return images.clamp(0, 1), [f"pixels from {low:.3g} to {high:.3g}: cut to [0, 1]"]
    raise ValueError(f"expected pixels in [0, 1], [-1, 1] or [0, 255]\ngot values from {low:.4g} to {high:.4g}")


def _side_of_28(images: Tensor) -> tuple[Tensor, list[str]]:
    height, width = images.shape[2:]
    if (height, width) == (SIDE, SIDE):
        return images, []
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    if left >= 0 and top >= 0:
        inner = images[:, :, top : top + SIDE, left : left + SIDE]
        if float(inner.sum()) >= 0.999 * float(images.sum()):
            return inner, [f"{height} x {width} with an empty border: cut to {SIDE} x {SIDE}"]
    resized = interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return resized, [f"{height} x {width}: resized to {SIDE} x {SIDE}, which blurs"]


def _array(path: Path, wanted: str = "images") -> tuple[Any, Any]:
    """Images and labels of an array file; nothing in it is executed."""
    try:
        loaded = np.load(path, allow_pickle=False)
    except Exception as error:
        raise ValueError(f"expected an array file at {path}\ngot one that cannot be read: {str(error).splitlines()[0]}") from error
    if isinstance(loaded, np.ndarray):
        return loaded, None
    arrays = dict(loaded)
    names = [name for name in (wanted, "samples", "x", "arr_0") if name in arrays]
    if not names:
        raise ValueError(f"expected an array {wanted!r} in {path}\ngot {', '.join(arrays) or 'none'}")
    return arrays[names[0]], next((arrays[name] for name in ("labels", "y", "arr_1") if name in arrays), None)


def _pictures(folder: Path) -> tuple[Tensor, Tensor | None]:
    from torchvision.io import ImageReadMode, decode_image

    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURES)
    if not files:
        raise ValueError(f"expected pictures {', '.join(PICTURES)} in {folder}\ngot none")
    found = []
    for file in files:
        try:
            found.append(decode_image(str(file), mode=ImageReadMode.GRAY))
        except RuntimeError as error:
            raise ValueError(f"expected a picture in {file}\ngot {str(error).splitlines()[0]}") from error
        if found[-1].shape != found[0].shape:
            raise ValueError(f"expected pictures of one size, {_size(found[0])} as in {files[0]}\ngot {_size(found[-1])} in {file}")
    names = [file.parent.name for file in files]
    labels = torch.tensor([int(name) for name in names]) if all(name.isdigit() and len(name) <= 3 for name in names) else None
    return torch.stack(found), labels


def _size(picture: Tensor) -> str:
    return f"{picture.shape[1]} x {picture.shape[2]}"
