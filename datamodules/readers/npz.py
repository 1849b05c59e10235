"""A .npz archive: arrays named images and labels, x and y, x_train, y_train, x_test, ... or the first arrays that fit."""

import functools
import re
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from datamodules.readers.arrays import FORMS, ArrayPixels
from datamodules.readers.found import SPLITS, Found, Part
from datamodules.refusal import refusal

IMAGES = ("images", "image", "imgs", "x", "data", "arr")
LABELS = ("labels", "label", "y", "targets", "target", "classes")
Header = tuple[tuple[int, ...], bool, np.dtype, int]  # shape, whether in Fortran's order, type, where the numbers begin


def read(path: Path, size: int | None) -> Found:
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"a damaged array {damaged}")
            headers = {name.removesuffix(".npy"): _header(archive, name) for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise refusal("an archive of numpy.savez", f"{error}", path, "write it anew") from error
    images = {name: header for name, header in headers.items() if len(header[0]) in (3, 4)}
    named = {name: header for name, header in images.items() if _parts(name)[1] in IMAGES}
    chosen: dict[str, str] = {}
    for name in named or images:
        chosen.setdefault(_parts(name)[0], name)
    if "all" in chosen or "train" not in chosen:
        chosen = {"all": next(iter(chosen.values()))} if chosen else {}
    if not chosen:
        shapes = ", ".join(f"{name} {header[0]}" for name, header in headers.items())
        raise refusal(f"{FORMS}, named images or x", f"{shapes or 'no array'}", path, "numpy.savez(file, images=..., labels=...)")
    parts = {split: Part(_pixels(path, name, images[name]), _labels(path, split, headers)) for split, name in chosen.items()}
    return Found(f"an archive (.npz) with the arrays {', '.join(chosen.values())}", parts, [path])


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return *read_header(stream), stream.tell()


def _parts(name: str) -> tuple[str, str]:
    """The split and the kind that an array's name tells: x_train gives train and x."""
    words = [word for word in re.split(r"[_\W\d]+", name.lower()) if word]
    split = next((SPLITS[word] for word in words if word in SPLITS), "all")
    return split, "_".join(word for word in words if word not in SPLITS)


def _labels(path: Path, split: str, headers: dict[str, Header]) -> np.ndarray | None:
    fitting = [name for name, (shape, *_) in headers.items() if len(shape) in (1, 2) and _parts(name)[0] == split]
    chosen = [name for name in fitting if _parts(name)[1] in LABELS] or ([fitting[0]] if len(fitting) == 1 and split == "all" else [])
    if not chosen:
        return None
    if headers[chosen[0]][2].kind == "O":
        raise refusal("labels that are numbers or words", f"Python objects in {chosen[0]}", path, "save the labels as integers")
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[chosen[0]]


def _pixels(path: Path, name: str, header: Header) -> ArrayPixels:
    shape, fortran, dtype, offset = header
    if fortran:
        with np.load(path, allow_pickle=False) as arrays:
            return ArrayPixels(path, shape, dtype, array=arrays[name])
    return ArrayPixels(path, shape, dtype, functools.partial(_open, path, f"{name}.npy"), offset)


def _open(path: Path, member: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(member)
