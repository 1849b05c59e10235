"""IDX files under any name, packed by gzip or not: a file of images, and one of labels for it if it is there."""

import functools
import gzip
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from datamodules.idx import IMAGES, LABELS
from datamodules.idx import read as read_whole
from datamodules.readers.arrays import UINT8, ArrayPixels
from datamodules.readers.found import SPLITS, Found, Part
from datamodules.refusal import refusal


def magic_of(file: Path) -> int | None:
    """The number that an IDX file of images or of labels begins with; None for other files."""
    try:
        with _open(file) as stream:
            start = stream.read(4)
    except (OSError, EOFError, zlib.error):
        return None
    number = struct.unpack(">I", start)[0] if len(start) == 4 else None
    return number if number in (IMAGES, LABELS) else None


def read(path: Path, size: int | None) -> Found:
    """A file of images, or a folder of one or two or three such files (train, val and test by their names)."""
    files = sorted(file for file in (path if path.is_dir() else path.parent).iterdir() if file.is_file())
    kinds = {file: magic_of(file) for file in files}
    images = [path] if path.is_file() else [file for file in files if kinds[file] == IMAGES]
    labels = [file for file in files if kinds[file] == LABELS]
    splits = {_split_of(file): file for file in images} if len(images) > 1 else dict(zip(["all"], images, strict=False))
    if len(splits) < len(images) or (len(images) > 1 and "train" not in splits) or (path.is_file() and kinds[path] != IMAGES):
        raise refusal(
            "one IDX file of images, or train, val and test",
            ", ".join(file.name for file in images or files),
            path,
            "name the file of images",
        )
    parts = {}
    for split, file in splits.items():
        labels_file = _labels_of(file, labels, len(images))
        parts[split] = Part(_pixels(file), None if labels_file is None else _labels(labels_file))
    return Found(f"{'IDX files' if len(splits) > 1 else 'an IDX file'}", parts, [*images, *labels])


def _open(file: Path) -> IO[bytes]:
    return gzip.open(file) if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _split_of(file: Path) -> str:
    name = file.name.lower()
    return next((split for word, split in SPLITS.items() if word in name), "train")


def _labels_of(images: Path, labels: list[Path], n_images: int) -> Path | None:
    """The file of labels whose name differs in nothing but images and labels, idx3 and idx1; or the only one for the only images."""
    wanted = images.name.removesuffix(".gz").replace("images", "labels").replace("image", "label").replace("idx3", "idx1")
    fitting = [file for file in labels if file.name.removesuffix(".gz") == wanted]
    if not fitting and n_images == 1 and len(labels) == 1:
        return labels[0]
    return fitting[0] if fitting else None


def _pixels(file: Path) -> ArrayPixels:
    try:
        with _open(file) as stream:
            head = stream.read(16)
        count, height, width = struct.unpack(">3I", head[4:])
        if file.suffix != ".gz" and file.stat().st_size != 16 + count * height * width:
            raise ValueError(f"{file.stat().st_size} bytes for {count} images of {height} x {width}")
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise refusal("a whole IDX file", f"{error}", file, "it is truncated or damaged: fetch it anew") from error
    return ArrayPixels(file, (count, height, width), UINT8, functools.partial(_open, file), 16)


def _labels(file: Path) -> np.ndarray:
    try:
        return read_whole(file, LABELS).numpy()
    except ValueError as error:
        raise refusal("a whole IDX file of labels", f"{error}", file, "fetch it anew") from error
