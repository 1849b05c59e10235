"""Images as others made them, of any usual size, scale and polarity, in the form of the images of a data set: (N, C, H, W) in [0, 1].

Each change is noted in one sentence: a measure of images that were changed in silence would be a measure of something else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

LIKE = torch.zeros(1, 1, 28, 28)  # images of MNIST's form: grey, with a dark border
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
SUFFIXES = (".npz", ".npy")


def read_images(
    path: Path, like: Tensor = LIKE, class_names: Sequence[str] = (), classes: int = 10
) -> tuple[Tensor, Tensor | None, list[str]]:
    """Images (N, C, H, W) in [0, 1], their labels (N,) if the file or folder has them, and notes on what was changed.

    Args:
        path: An array file with `images` and, optionally, `labels` (.npz; a .npy file has images alone), or a folder of pictures.
            The names of its subfolders are labels if all of them are numbers, or names of classes.
        like: Real images (M, C, H, W), which the images are brought into the form of.
        class_names, classes: The names of the classes, if they have names, and their number.
    Raises:
        ValueError: If there are no images there, or they cannot be such images: what was expected, what was found.
    """
    if path.is_dir():
        array, labels = _pictures(path, like.shape[1], class_names)
    elif path.suffix in SUFFIXES and path.is_file():
        array, labels = _array(path)
    else:
        found = f"a {path.suffix or 'file without a suffix'}" if path.exists() else "no such file or folder"
        raise ValueError(f"expected samples in a folder of pictures or in a file {', '.join(SUFFIXES)} at {path}\ngot {found}")
    images, notes = as_images(array, like)
    return images, None if labels is None else check_labels(labels, len(images), classes), notes


def read_labels(path: Path, n: int, classes: int = 10) -> Tensor:
    """Labels (N,) from an array file (.npy, .npz) or from a text file with one number per line."""
    if path.suffix not in (*SUFFIXES, ".txt", ".csv") or not path.is_file():
        raise ValueError(f"expected labels in a file {', '.join(SUFFIXES)}, .txt or .csv\ngot {path}")
    try:
        array = np.loadtxt(path, delimiter=",", ndmin=1) if path.suffix in (".txt", ".csv") else _array(path, "labels")[0]
    except ValueError as error:
        raise ValueError(f"expected one label per line in {path}\ngot {error}") from error
    return check_labels(array, n, classes)


def check_labels(labels: Any, n: int, classes: int = 10) -> Tensor:
    found = torch.as_tensor(np.asarray(labels)).flatten()
    if len(found) != n:
        raise ValueError(f"expected one label per image, {n}\ngot {len(found)} labels")
    if not torch.equal(found, found.long().to(found.dtype)) or not 0 <= int(found.min()) <= int(found.max()) < classes:
        raise ValueError(f"expected labels from 0 to {classes - 1}\ngot values from {float(found.min()):g} to {float(found.max()):g}")
    return found.long()


def as_images(array: Any, like: Tensor = LIKE) -> tuple[Tensor, list[str]]:
    """Images in the form of others, (N, C, H, W) in [0, 1], and notes on what was changed.

    Args:
        array: (N, H, W), (N, 1, H, W), (N, 3, H, W), (N, H, W, 1), (N, H, W, 3) or (N, C H W), as integers from 0 to 255, or as floats in
            [0, 1], [-1, 1] or [0, 255].
        like: Real images (M, C, H, W). If their border is dark, images with a bright border are taken for negatives.
    """
    images, notes = _four_dimensions(torch.as_tensor(np.asarray(array)), like)
    images, scale = _unit_range(images)
    notes += scale
    images, colours = _colours(images, like.shape[1])
    notes += colours
    if _border(images) > 0.5 and _border(like) < 0.25:
        images = 1 - images
        notes.append("the border is bright, so digits are black on white: black and white are exchanged")
    images, size = _side_of(images, like.shape[-1])
    notes += size
    if float(images.var(dim=0).sum()) == 0 and len(images) > 1:
        notes.append("all images are equal")
    return images, notes


def _border(images: Tensor) -> float:
    """Mean brightness of the outermost pixels."""
    return float(torch.cat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], dim=2).mean())


def _colours(images: Tensor, expected: int) -> tuple[Tensor, list[str]]:
    channels = images.shape[1]
    if expected == 1 and channels > 1:
        return images[:, :3].mean(dim=1, keepdim=True), [f"{channels} channels: their mean is taken"]
    if expected == 3 and channels == 1:
        return images.expand(-1, 3, -1, -1), ["grey images: red, green and blue are equal"]
    return images[:, :expected], [f"{channels} channels: the first {expected} are taken"] if channels > expected else []


def _four_dimensions(images: Tensor, like: Tensor) -> tuple[Tensor, list[str]]:
    if images.ndim == 2 and images.shape[1] == like[0].numel():
        return images.view(-1, *like.shape[1:]), []
    if images.ndim == 3:
        return images[:, None], []
    if images.ndim == 4 and images.shape[1] in (1, 3, 4):
        return images, []
    if images.ndim == 4 and images.shape[3] in (1, 3, 4):
        return images.permute(0, 3, 1, 2), []
    raise ValueError(
        f"expected images (N, H, W), (N, C, H, W), (N, H, W, C) or (N, {like[0].numel()})\ngot an array of shape {tuple(images.shape)}"
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


def _side_of(images: Tensor, side: int) -> tuple[Tensor, list[str]]:
    height, width = images.shape[2:]
    if (height, width) == (side, side):
        return images, []
    left, top = (width - side) // 2, (height - side) // 2
    if left >= 0 and top >= 0:
        inner = images[:, :, top : top + side, left : left + side]
        if float(inner.sum()) >= 0.999 * float(images.sum()):
            return inner, [f"{height} x {width} with an empty border: cut to {side} x {side}"]
    resized = interpolate(images, size=(side, side), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return resized, [f"{height} x {width}: resized to {side} x {side}, which blurs"]


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


def _pictures(folder: Path, colours: int, class_names: Sequence[str]) -> tuple[Tensor, Tensor | None]:
    from torchvision.io import ImageReadMode, decode_image

    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURES)
    if not files:
        raise ValueError(f"expected pictures {', '.join(PICTURES)} in {folder}\ngot none")
    found = []
    for file in files:
        try:
            found.append(decode_image(str(file), mode=ImageReadMode.RGB if colours == 3 else ImageReadMode.GRAY))
        except RuntimeError as error:
            raise ValueError(f"expected a picture in {file}\ngot {str(error).splitlines()[0]}") from error
        if found[-1].shape != found[0].shape:
            raise ValueError(f"expected pictures of one size, {_size(found[0])} as in {files[0]}\ngot {_size(found[-1])} in {file}")
    names = [file.parent.name for file in files]
    if class_names and set(names) <= set(class_names):
        return torch.stack(found), torch.tensor([class_names.index(name) for name in names])
    labels = torch.tensor([int(name) for name in names]) if all(name.isdigit() and len(name) <= 3 for name in names) else None
    return torch.stack(found), labels


def _size(picture: Tensor) -> str:
    return f"{picture.shape[1]} x {picture.shape[2]}"
