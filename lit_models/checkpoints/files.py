"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside `target`; what has been written to it by the end of the block takes the place of `target`: whole, and on the disk.

    An error inside leaves the target as it was and nothing beside it; a kill may leave the part, which `remove_parts` knows.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        _sync(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    _sync(target.parent)  # the rename itself


def remove_parts(folder: Path) -> None:
    """What processes that were killed while writing have left in a folder and those below."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
