"""Where the networks of yardsticks lie: shipped with the package, beside the data, or in the user's cache; the first one found counts.

A file knows the images that it was made for by their sha256, so that it is not used for others of the same name.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datamodules.named import NAMES
from datamodules.own import name_of
from lit_models.checkpoints.atomic_io import read_checkpoint

Kind = Literal["judge", "spaces"]
SHIPPED: dict[Kind, Path] = {"judge": Path(__file__).parent / "judges", "spaces": Path(__file__).parent / "spaces"}
ENVIRONMENT = "LIT_GENERATIVE_CACHE"  # names another cache than ~/.cache/lit-generative


class NetworkFile(NamedTuple):
    """A file of networks, its content, and the name of the file's own content."""

    file: Path
    saved: dict[str, Any]
    sha256: str


def folders_beside(dataset: str, data: Any) -> list[Path]:
    """The folder beside the data and that in the cache, in which networks of a yardstick are looked for and kept."""
    own = Path(dataset) if dataset not in NAMES and Path(dataset).exists() else None
    root = own.resolve().parent if own else getattr(data, "root", None)
    places = [Path(root) / "yardsticks"] if root and Path(root).is_dir() else []
    cache = Path(os.environ.get(ENVIRONMENT) or "~/.cache/lit-generative").expanduser()
    return [place / name_of(dataset) for place in (*places, cache / "yardsticks")]


def folder_to_write(dataset: str, data: Any) -> Path:
    """The first of the folders that can be written, made if need be.

    Raises:
        OSError: If none can.
    """
    for folder in folders_beside(dataset, data):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    places = ", ".join(map(str, folders_beside(dataset, data)))
    raise OSError(f"expected a folder for a yardstick of {dataset} that can be written\ngot none in {places}\nset {ENVIRONMENT}")


def find(kind: Kind, dataset: str, data: Any) -> NetworkFile | None:
    """The file of a data set's judge or spaces; None if there is none for images of this shape.

    Args:
        data: The data module, set up.
    Raises:
        ValueError: If a file is damaged, or was made for other images of the same name.
    """
    files = [SHIPPED[kind] / f"{name_of(dataset)}.pt", *(folder / f"{kind}.pt" for folder in folders_beside(dataset, data))]
    shape = getattr(data, "image_shape", None)
    for file in files:
        if not file.is_file():
            continue
        found = read(file)
        if shape is None or shape_of(found.saved) == tuple(shape):
            check_images(found, dataset, data)
            return found
    return None


def read(file: Path) -> NetworkFile:
    return NetworkFile(file, read_checkpoint(file), hashlib.sha256(file.read_bytes()).hexdigest())


def shape_of(saved: dict[str, Any]) -> tuple[int, ...]:
    """The shape of the images that the classifiers of a file take; files of the first versions are for 28 x 28."""
    classifiers = saved["classifiers"]
    arguments = list(classifiers.values()) if isinstance(classifiers, dict) else classifiers
    return tuple(arguments[0].get("image_shape", (1, 28, 28)))


def check_images(found: NetworkFile, dataset: str, data: Any) -> None:
    """ValueError if networks were made for other images."""
    expected, got = found.saved.get("images_sha256", ""), getattr(data, "images_sha256", "")
    if expected and got and expected != got:
        raise ValueError(
            f"expected the images of {dataset} that {found.file} was made for, sha256 {expected[:16]}...\n"
            f"got others of this name, sha256 {got[:16]}...\n"
            f"move the file away; lightning judge --data {dataset} then makes one for these images"
        )
