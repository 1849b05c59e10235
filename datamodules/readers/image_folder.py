"""A folder of PNG and JPEG images: flat, by class (one folder each), or with folders train, val and test around that."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.readers.found import SPLITS, Found, Part
from datamodules.refusal import refusal
from datamodules.sides import fit_to
from lit_models.contracts import ImageShape

SUFFIXES = (".png", ".jpg", ".jpeg")
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")
AT_ONCE = 256  # images per chunk


class FolderPixels:
    """Images of one size or, with `size`, of any sizes, each brought to a square of this side."""

    def __init__(self, files: list[Path], shape: ImageShape, size: int | None) -> None:
        self.files, self.shape, self.size, self.n = files, shape, size, len(files)

    def as_they_are(self) -> Tensor | None:
        return None

    def chunks(self) -> Iterator[Tensor]:
        for start in range(0, self.n, AT_ONCE):
            yield torch.stack([self._image(file) for file in self.files[start : start + AT_ONCE]])

    def _image(self, file: Path) -> Tensor:
        image = torch.from_numpy(decoded(file, self.shape[0] == 3))
        return image if self.size is None else fit_to((image.shape[1], image.shape[2]), self.size)(image[None])[0]


def decoded(file: Path, colour: bool) -> np.ndarray:
    """uint8 (C, H, W). What is transparent is white."""
    try:
        with Image.open(file) as image:
            if image.mode.startswith("I"):  # 16 bits per pixel, which convert() would cut off at 255
                grey = (np.asarray(image).astype(np.float64) / 257).round().clip(0, 255).astype(np.uint8)
                return np.repeat(grey[None], 3, axis=0) if colour else grey[None]
            if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
                seen = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")  # type: ignore[assignment]
            array = np.array(image.convert("RGB" if colour else "L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        words = str(error).replace(str(file), "the file")
        raise refusal("a whole PNG or JPEG image", f"one that cannot be decoded ({words})", file, "repair it or take it away") from error
    return np.ascontiguousarray(array.transpose(2, 0, 1)) if colour else array[None]


def read(path: Path, size: int | None) -> Found:
    folders = _folders(path)
    named = {SPLITS[folder.name.lower()]: folder for folder in folders if folder.name.lower() in SPLITS}
    nested = "train" in named and len(named) == len(folders) and len(named) > 1
    classes = {split: _by_class(folder) for split, folder in (named if nested else {"all": path}).items()}
    names = sorted({name for part in classes.values() for name in part if name})
    for split, part in classes.items():
        where = named[split] if nested else path
        if names and "" in part:
            raise refusal(
                "images in class folders alone, or in one folder alone", "both", where, "move the images into their class's folder"
            )
        for name, files in part.items():
            if not files:
                raise refusal("images in every class folder", "no PNG or JPEG", where / name, "fill the folder or take it away")
        if missing := [name for name in names if split == "train" and name not in part]:
            raise refusal("training images of every class", f"none of {', '.join(missing)}", where, "add some, or take the class away")
    if len(names) == 1:
        remedy = "move its images up into the folder itself to train without labels"
        raise refusal("at least 2 class folders", f"one, {names[0]},", path, remedy)
    files = [file for part in classes.values() for group in part.values() for file in group]
    if not files:
        raise refusal("PNG or JPEG images, by class or flat", contents(path), path, "name a folder of images")
    shape, said = _look(files, path, size)
    parts = {}
    for split, part in classes.items():
        labels = np.array([names.index(name) for name, group in part.items() for _ in group]) if names else None
        parts[split] = Part(FolderPixels([file for group in part.values() for file in group], shape, size), labels)
    of = f"of {len(names)} classes" if names else "without classes"
    return Found(f"a folder {of}{' in ' + ', '.join(classes) if nested else ''}, {said}", parts, files, tuple(names) or None)


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith((".", "__")))


def images_below(folder: Path) -> list[Path]:
    found = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    return sorted(file for file in found if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))


def _by_class(path: Path) -> dict[str, list[Path]]:
    """The images of each class folder; those that lie in the folder itself under ""."""
    flat = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
    return ({"": flat} if flat else {}) | {folder.name: images_below(folder) for folder in _folders(path)}


def contents(path: Path) -> str:
    kinds = Counter(file.suffix or file.name for file in path.iterdir() if file.is_file())
    return ", ".join(f"{count} {kind} file{'s' * (count > 1)}" for kind, count in kinds.most_common(3)) or "no image"


def _look(files: list[Path], path: Path, size: int | None) -> tuple[ImageShape, str]:
    """The shape of the images, of which the headers are read, and a few words on them."""
    sizes: dict[tuple[int, int], Path] = {}
    modes: dict[Path, str] = {}
    for file in files:
        try:
            with Image.open(file) as image:
                sizes.setdefault((image.height, image.width), file)
                modes[file] = image.mode
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            decoded(file, False)  # raises with the file's name
    if len(sizes) > 1 and size is None:
        (one, file), (other, another) = list(sizes.items())[:2]
        found = f"{one[0]} x {one[1]} ({file.name}) and {other[0]} x {other[1]} ({another.name})"
        raise refusal("images of one size", found, path, "resize them all with --data.size 28, 32 or 64")
    colour = any(_has_colour(file) for file, mode in modes.items() if mode not in GREY_MODES)
    kinds = " and ".join(sorted({"PNG" if file.suffix.lower() == ".png" else "JPEG" for file in files}))
    height, width = (size, size) if size is not None and len(sizes) > 1 else next(iter(sizes))
    mixed = " of mixed sizes" if len(sizes) > 1 else f" of {height} x {width}"
    said = f"{len(files):,} {'colour' if colour else 'grey'} {kinds} images{mixed}"
    return (3 if colour else 1, height, width), said


def _has_colour(file: Path) -> bool:
    red, green, blue = decoded(file, True)
    return bool((red != green).any() or (red != blue).any())
