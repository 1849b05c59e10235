"""Readers of the user's own images, one a format. A reader takes a path and a size, and says what it found there."""

from collections.abc import Callable
from pathlib import Path

from datamodules.readers import csv_pixels, idx_files, image_folder, npy, npz
from datamodules.readers.found import Found
from datamodules.refusal import refusal

BY_SUFFIX: dict[str, Callable[[Path, int | None], Found]] = {
    ".npz": npz.read,
    ".npy": npy.read,
    ".csv": csv_pixels.read,
    ".csv.gz": csv_pixels.read,
}
FORMATS = "a folder of PNG or JPEG images, a .npz, .npy or .csv file, or IDX files"


def kind_of(path: Path) -> Callable[[Path, int | None], Found]:
    """The reader for a path: by its suffix, or by what it begins with or contains.

    Raises:
        ValueError: If there is none.
    """
    if path.is_dir():
        holds_idx = any(idx_files.magic_of(file) == idx_files.IMAGES for file in path.iterdir() if file.is_file())
        if holds_idx:
            return idx_files.read
        arrays = [file.name for file in sorted(path.iterdir()) if any(file.name.lower().endswith(suffix) for suffix in BY_SUFFIX)]
        if arrays and not image_folder.images_below(path):
            raise refusal(FORMATS, f"{', '.join(arrays[:3])}", path, f"name the file itself: {path / arrays[0]}")
        return image_folder.read
    for suffix, reader in BY_SUFFIX.items():
        if path.name.lower().endswith(suffix):
            return reader
    if idx_files.magic_of(path) is not None:
        return idx_files.read
    raise refusal(FORMATS, f"a file of another kind ({path.suffix or 'no suffix'})", path, "convert it")
