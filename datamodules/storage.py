"""Where the images of a data set are held: in memory while they fit, else mapped from a file.

An array on disk that has the right form is mapped as it is. Any other is decoded once, a few MB at a time, into a file of its own.
"""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lit_models.contracts import ImageShape

MEMORY_SHARE = 0.25  # of the machine's memory: images that need more are memory-mapped


def room() -> float:
    """Bytes of images that are held in memory."""
    return MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def in_memory(chunks: Iterable[Tensor], n: int, shape: ImageShape) -> Tensor:
    images = torch.empty((n, *shape), dtype=torch.uint8)
    at = 0
    for chunk in chunks:
        images[at : at + len(chunk)] = chunk
        at += len(chunk)
    return images


def mapped(file: Path) -> Tensor:
    """The array of a .npy file, read from the disk where it is looked at."""
    return as_tensor(np.load(file, mmap_mode="r", allow_pickle=False))


def as_tensor(array: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # no one writes into images
        return torch.from_numpy(array)


def cached(chunks: Iterable[Tensor], n: int, shape: ImageShape, file: Path) -> Tensor:
    """As `mapped`; the file is written first if it is not there yet. It appears under its name only when it is whole."""
    if not file.is_file():
        handle, name = tempfile.mkstemp(prefix=".part-", suffix=".npy", dir=file.parent)
        os.close(handle)
        try:
            array = np.lib.format.open_memmap(name, mode="w+", dtype=np.uint8, shape=(n, *shape))
            at = 0
            for chunk in chunks:
                array[at : at + len(chunk)] = chunk.numpy()
                at += len(chunk)
            array.flush()
            del array
            os.replace(name, file)
        finally:
            Path(name).unlink(missing_ok=True)
    return mapped(file)


def cache_file(data: Path, name: str, key: object) -> Path:
    """Where the decoded images of `data` are kept: beside them, or in the user's or the machine's folder for such files."""
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    for folder in _folders(data):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder / f"{name}-{digest}.npy"
        except OSError:
            continue
    raise OSError(f"expected a folder for the decoded images of {data}: neither its own nor the temporary folder can be written")


def _folders(data: Path) -> Iterator[Path]:
    yield data.resolve().parent / ".cache"
    yield Path("~/.cache/lit-generative").expanduser()
    yield Path(tempfile.gettempdir()) / "lit-generative"
