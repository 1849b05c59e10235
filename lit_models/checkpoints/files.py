"""Files that are replaced as a whole or not at all, and folders that one process has for itself."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path next to `target`. At the end of the block the file there replaces `target`, whole and synced to the disk.

    An error inside the block leaves the target as it was, and removes the part. A kill may leave the part, which `remove_parts` removes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        _sync(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    _sync(target.parent)  # makes the rename itself durable


def remove_parts(folder: Path) -> None:
    """Remove the parts that killed processes have left in a folder and its subfolders."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


@contextmanager
def alone_in(folder: Path, remedy: str) -> Iterator[None]:
    """Keep the other processes of this machine that ask for it out of the folder; ValueError, with the remedy, in those."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"expected no other process at work in {folder}\ngot one that is running\n{remedy}") from error
        yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
