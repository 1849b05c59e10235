"""Errors for the person at the terminal: what was expected, what came, what to do. Only this room knows them."""

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_models.training import configs

OURS = ("lit_models", "datamodules", "callbacks")


class UserError(Exception):
    """At most three lines, exit code 2, no traceback."""

    def __init__(self, expected: str, found: str = "", remedy: str = "") -> None:
        super().__init__("\n".join(f"lightning: {' '.join(line.split())}" for line in (expected, found, remedy) if line))


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error of the library or of Lightning into three lines; one of the user's own code stays as it is."""
    try:
        yield
    except Exception as error:
        explanation = explain(error)
        if explanation is None or explanation is error:
            raise
        raise explanation from error


def explain(error: BaseException) -> UserError | None:
    """An error in three lines; None if the user's own code took part, because that needs a traceback."""
    if isinstance(error, UserError):
        return error
    kinds: tuple[type[BaseException], ...] = (ValueError, TypeError, OSError, RuntimeError)
    if "lightning.fabric" in sys.modules:
        from lightning.fabric.utilities.exceptions import MisconfigurationException

        kinds = (*kinds, MisconfigurationException)
    if not isinstance(error, kinds):
        return None
    while error.__cause__ is not None and "jsonargparse" in _files(error)[-1].parts:  # it wraps what a constructor has raised
        error = error.__cause__
    if any(_is_users(file) for file in _files(error)):
        return None
    lines = [line.strip()[:600] for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    device = type(error).__name__ == "MisconfigurationException" and "accelerator" in str(error)
    remedy = "leave --trainer.accelerator and --trainer.devices out, or add --config cpu" if device else " ".join(lines[2:])[:300]
    return UserError(lines[0], lines[1] if lines[1:] else "", remedy)


def _files(error: BaseException) -> list[Path]:
    """The files that the error went through; the last one raised it."""
    return [Path(frame.filename).resolve() for frame in traceback.extract_tb(error.__traceback__)] or [Path()]


def _is_users(file: Path) -> bool:
    known = [configs.SHIPPED.parent / part for part in OURS] + [Path(sysconfig.get_path("stdlib"))]
    return file.suffix == ".py" and "site-packages" not in file.parts and not any(file.is_relative_to(folder) for folder in known)
