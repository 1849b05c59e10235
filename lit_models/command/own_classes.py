"""Classes of the user's own: only modules that the user has named, or that lie next to a named config, are imported.

Lightning imports a class path before anybody has looked at it, so class paths are checked before.
"""

import importlib
import importlib.util
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lit_models.command.errors import UserError
from lit_models.training import configs

TRUSTED = ("lit_models", "datamodules", "callbacks", "lightning", "torch", "torchvision", "torchmetrics")
CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def take_imports(arguments: list[str]) -> list[str]:
    """Import the modules of the user's own that a command line names by `--import MODULE`; returns their names."""
    named = [word.partition("=")[2] for word in arguments if word.startswith("--import=")]
    named += [following for word, following in itertools.pairwise(arguments) if word == "--import"]
    return import_modules(named)


def import_modules(named: list[str]) -> list[str]:
    """Import modules from the working directory, or installed ones; UserError for one that is not there."""
    if named:
        add_to_path(Path.cwd())
    for module in named:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError("--import expected a module in this folder, or an installed one", f"got {module}: {error}") from error
    return named


def add_to_path(*folders: Path) -> None:
    """Make the user's own modules importable. Their folders come last: a `callbacks` folder of theirs would hide ours."""
    sys.path += [folder for folder in dict.fromkeys(map(str, folders)) if folder not in sys.path]


def check_class_paths(files: list[Path], arguments: list[str], imported: list[str]) -> None:
    """Check every class path in config files and arguments, without importing anything.

    Raises:
        UserError: If a class is neither ours, Lightning's or torch's, nor next to a config, nor of a module that `--import` names.
    """
    folders = [file.parent for file in files]
    values = [value for file in files for value in strings(configs.read(file))]
    values += [value for word in arguments for value in strings(parsed(word.partition("=")[2] if word.startswith("--") else word))]
    for value in values:
        if not CLASS_PATH.fullmatch(value):
            continue
        if value.partition(".")[0] in (*TRUSTED, *(module.partition(".")[0] for module in imported)):
            continue
        place = place_of(value)
        if place is not None and not any(place.parent == folder for folder in folders):
            raise UserError(
                f"expected a class of {', '.join(TRUSTED[:5])}, or of a module next to the config",
                f"got {value}, which would be imported from {place}",
                f"if it is yours, say so: --import {value.rpartition('.')[0]}",
            )


def place_of(class_path: str) -> Path | None:
    """The file or folder from which the path's top-level module would be imported; None if there is none."""
    top, second, *_ = class_path.split(".")
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if found is None:
        return None
    if found.origin is None and found.submodule_search_locations:  # a plain folder counts if it has a module of the second name
        folder = Path(next(iter(found.submodule_search_locations)))
        return folder.resolve() if (folder / f"{second}.py").exists() or (folder / second).is_dir() else None
    place = Path(found.origin or top)
    if not place.is_absolute():  # a built-in or frozen module
        return Path(top)
    place = place.resolve()
    return place.parent if found.submodule_search_locations else place


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(each)


def parsed(word: str) -> Any:
    """The value of an argument, which may be a piece of a config."""
    try:
        return yaml.safe_load(word)
    except yaml.YAMLError:
        return word
