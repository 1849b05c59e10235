"""Packages that only some users need, the extras of pyproject.toml."""

from importlib import import_module
from typing import Any


def extra_package(name: str, extra: str, wanted_by: str) -> Any:
    """The imported package; ValueError that says what to install if it is not there."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f"{wanted_by} expected {name.capitalize()}\ngot none\npip install 'lit-generative[{extra}]'") from error
