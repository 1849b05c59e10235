"""Checks whether a checkpoint is whole, without torch and without unpacking anything in it."""

import zipfile
from pathlib import Path


class CheckpointError(ValueError):
    """A file that is no checkpoint, or a damaged one. The message has the file and the reason."""


def check_archive(path: Path) -> None:
    """Compare checksums: `torch.save` writes a zip archive with a checksum for each part, and `torch.load` ignores them.

    Raises:
        CheckpointError: If the file is no such archive, a part does not have its checksum, or parts claim to be larger than the file.
        OSError: If the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                found = _faults(archive, size)
        except Exception as error:  # zipfile raises many kinds of errors, depending on the damaged byte
            found = str(error).splitlines()[0] if str(error) else type(error).__name__
    if found:
        raise CheckpointError(f"{path} is no checkpoint, or a damaged one: {found}")


def _faults(archive: zipfile.ZipFile, size: int) -> str | None:
    parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        return "it has compressed parts, which fit does not write"
    claimed = sum(part.file_size for part in parts)
    if claimed > size:
        return f"its parts claim {claimed} bytes, the file has {size}"
    damaged = archive.testzip()
    return f"{damaged} does not have its checksum" if damaged else None
