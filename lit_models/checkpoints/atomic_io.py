"""Writes checkpoints so that a file under its final name is always whole."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lit_models.checkpoints.archive import CheckpointError, check_archive
from lit_models.checkpoints.files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs, then renames: Lightning's own way is atomic only within one file system."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)  # not into the file: its errors would not say what is wrong with the disk
        with replacing(Path(path)) as part:
            part.write_bytes(buffer.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and plain values on the CPU; nothing in it is run. The only `torch.load` of the project.

    Raises:
        CheckpointError: If it is damaged, or no checkpoint of Lightning's.
        OSError: If it cannot be read.
    """
    check_archive(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises what the file happens to lead to
        raise CheckpointError(f"{path} is no readable checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path} holds no state_dict: expected a checkpoint that fit has written")
    return checkpoint
