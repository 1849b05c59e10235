"""Whose code a config may name. A class path is imported before anybody has looked at the class: so it is looked at before."""

import importlib
import importlib.util
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lit_models.command.errors import UserError
from lit_models.training import configs

TRUSTED = ("lit_models", "datamodules", "callbacks", "lightning", "torch", "torchvision", "torchmetrics")
CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def take_imports(arguments: list[str]) -> list[str]:
    """Modules that the command line names by `--import MODULE`: of the user's own, imported here."""
    named = [word.partition("=")[2] for word in arguments if word.startswith("--import=")]
    named += [following for word, following in itertools.pairwise(arguments) if word == "--import"]
    for module in named:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError("--import expected a module in this folder, or an installed one", f"got {module}: {error}") from error
    return named


def check_class_paths(files: list[Path], arguments: list[str], imported: list[str]) -> None:
    """UserError if a config file or an argument names a class that is neither ours, Lightning's or torch's, nor beside a config, nor of a
    module that was named by `--import`. Nothing is imported for it."""
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
                f"expected a class of {', '.join(TRUSTED[:5])}, or of a module beside the config",
                f"got {value}, which would be imported from {place}",
                f"if it is yours, say so: --import {value.rpartition('.')[0]}",
            )


def place_of(class_path: str) -> Path | None:
    """File or folder that the path's top-level module would be imported from; None where there is none, so that nothing would be."""
    top, second, *_ = class_path.split(".")
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if found is None:
        return None
    if found.origin is None and found.submodule_search_locations:  # a plain folder: it counts if it has a module of the second name
        folder = Path(next(iter(found.submodule_search_locations)))
        return folder.resolve() if (folder / f"{second}.py").exists() or (folder / second).is_dir() else None
    place = Path(found.origin or top)
    if not place.is_absolute():  # built in, or frozen
        return Path(top)
    place = place.resolve()
    return place.parent if found.submodule_search_locations else place


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(each)


def parsed(word: str) -> Any:
    """An argument's value: a config's fragment may stand in it."""
    try:
        return yaml.safe_load(word)
    except yaml.YAMLError:
        return word
