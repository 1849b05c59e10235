"""The user's own images: read, checked, brought to a side, held in memory or mapped, and split."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules import labels as numbered
from datamodules import storage
from datamodules.named import NAMES
from datamodules.readers import kind_of
from datamodules.readers.found import Found, Part
from datamodules.refusal import refusal
from datamodules.sides import Fit, fit_to
from datamodules.split import Split
from lit_models.contracts import ImageShape

FEWEST = 10


@dataclass
class OwnImages:
    """Args:
    given: "all", or "train" and any of "val" and "test" where the data are split already.
    said: What the path was taken for and what was done to the images, in one sentence.
    changed: What was done to their side, or "".
    """

    given: dict[str, Split]
    class_names: tuple[str, ...]
    said: str
    changed: str


def name_of(dataset: str) -> str:
    """The name of a data set: its own or, for own images, the stem of their path; with the kind if another data set has this name."""
    if dataset in NAMES:
        return dataset
    path = Path(dataset).expanduser().resolve()
    stem = path.name if path.is_dir() else path.name.split(".")[0] or path.name
    clean = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in stem) or "images"
    return f"{clean}_{path.suffix.lstrip('.') or 'folder'}" if clean in NAMES else clean


def read_own(path: Path, size: int | None, invert: bool) -> OwnImages:
    """All images of a path.

    Raises:
        ValueError: If the data are damaged or unfit; three lines with the path.
    """
    found = kind_of(path)(path, size)
    n = sum(part.images.n for part in found.parts.values())
    if n < FEWEST:
        raise refusal(f"at least {FEWEST} images", f"{n}", path, "add images")
    shape = _shape_of(found, path)
    fit = fit_to(shape[1:], size)
    labels, class_names = _labels(found, path)
    images, where = _held(found, path, fit, n, shape[0], invert)
    given, start = {}, 0
    for name, part in found.parts.items():
        stop = start + part.images.n
        given[name] = Split(images[start:stop], None if labels is None else labels[start:stop])
        start = stop
    words = [f"{name_of(str(path))}: {found.said}"]
    if " images of " not in found.said:
        words.append(f"{n:,} {'colour' if shape[0] == 3 else 'grey'} images of {shape[1]} x {shape[2]}")
        words.append(f"{len(class_names)} classes" if class_names else "no labels")
    words += [fit.said] if fit.said else []
    words += ["inverted"] if invert else []
    words += [f"memory-mapped from {where}"] if where else []
    return OwnImages(given, class_names, ", ".join(words), fit.said)


def _shape_of(found: Found, path: Path) -> ImageShape:
    shapes = sorted({part.images.shape for part in found.parts.values()})
    if len(shapes) > 1:
        raise refusal("images of one shape in all parts", " and ".join(map(str, shapes)), path, "resize them")
    if min(shapes[0]) < 1 or max(shapes[0][1:]) < 2:
        raise refusal("images of at least 2 x 2 pixels", f"{shapes[0]}", path, "name another file")
    return shapes[0]


def _labels(found: Found, path: Path) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels of all parts one after the other, and the names of the classes."""
    parts: list[Part] = list(found.parts.values())
    given = [part.labels for part in parts if part.labels is not None]
    if not given:
        return None, ()
    if len(given) < len(parts):
        raise refusal("labels of all parts or of none", f"labels of {len(given)} of {len(parts)} parts", path, numbered.REMEDY)
    for part in parts:
        if part.labels is not None and len(part.labels) != part.images.n:
            raise refusal(f"{part.images.n} labels, one per image", f"{len(part.labels)}", path, numbered.REMEDY)
    together, names = np.concatenate(given), found.class_names
    if names is None:
        together, names = numbered.classes_of(together, path)
    part_of = np.repeat(list(found.parts), [part.images.n for part in parts])
    known = set(together[(part_of == "train") | (part_of == "all")].tolist())
    if strange := [name for label, name in enumerate(names) if label not in known]:
        found_ones = f"label {', '.join(strange[:5])} in other parts alone"
        raise refusal("labels that training images have", found_ones, path, "add training images of the class, or drop it")
    return numbered.as_tensor(together, len(names)), names


def _held(found: Found, path: Path, fit: Fit, n: int, channels: int, invert: bool) -> tuple[Tensor, Path | None]:
    """All images, and the file that they are mapped from, if they are."""
    shape = (channels, fit.side, fit.side)
    chunks = _checked(found, path, fit, invert)
    if n * channels * fit.side**2 <= storage.room():
        return storage.in_memory(chunks, n, shape), None
    parts = list(found.parts.values())
    direct = parts[0].images.as_they_are() if len(parts) == 1 and not fit.said and not invert else None
    if direct is not None:
        for _ in chunks:  # the checks
            pass
        return direct, path
    stamps = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in found.files]
    file = storage.cache_file(path, name_of(str(path)), (stamps, shape, fit, invert, list(found.parts)))
    return storage.cached(chunks, n, shape, file), file


def _checked(found: Found, path: Path, fit: Fit, invert: bool) -> Iterator[Tensor]:
    """The images of all parts in their final form; ValueError at the end if all pixels are equal."""
    low, high = 255, 0
    for part in found.parts.values():
        for chunk in part.images.chunks():
            low, high = min(low, int(chunk.min())), max(high, int(chunk.max()))
            images = fit(chunk) if chunk.shape[2:] == torch.Size(fit.found) else chunk
            yield 255 - images if invert else images
    if low == high:
        raise refusal("images that differ", f"pixels that are all {low}", path, "look at the images: nothing can be learned from them")
    if high == 1:
        raise refusal("bytes from 0 to 255", "bytes 0 and 1 only", path, "multiply them by 255, or save them as booleans or floats")


def split_own(given: dict[str, Split], generator: torch.Generator) -> dict[str, Split]:
    """ "train" and "test", and "val" where it is given. Where no test images are given, a fifth of the rest is drawn for them."""
    if "test" in given:
        return given
    whole = given["all"] if "all" in given else given["train"]
    n_test = max(1, whole.n // 5)
    order = torch.randperm(whole.n, generator=generator)
    rows = {"train": order[n_test:].sort().values, "test": order[:n_test].sort().values}
    return {name: part for name, part in given.items() if name == "val"} | {name: whole.select(chosen) for name, chosen in rows.items()}
