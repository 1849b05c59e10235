"""Writes checkpoints so that a file under its final name is always whole, and reads them without running anything in them."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lit_models.checkpoints.archive import CheckpointError, check_archive
from lit_models.checkpoints.files import replacing
from lit_models.checkpoints.older_versions import upgrade
from lit_models.checkpoints.slim import SHARED
from lit_models.checkpoints.weights_file import SUFFIX, read_weights


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes next to the target, syncs, then renames: Lightning's own way is atomic only within one file system."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)  # not into the file: the errors of torch.save would not say what is wrong with the disk
        with replacing(Path(path)) as part:
            part.write_bytes(buffer.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """A checkpoint, or another dict of tensors: processes that Lightning spawns hand bare weights over in a file."""
        return upgrade(read_plain_values(Path(path)))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and plain values on the CPU, in the form of this version. Nothing in it is run.

    Weights that `lightning export` has written are read, too.

    Raises:
        CheckpointError: If it is damaged, or no checkpoint of Lightning's.
        OSError: If it cannot be read.
    """
    if path.suffix == SUFFIX:
        return upgrade(read_weights(path))
    checkpoint = read_plain_values(path)
    if not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path} holds no state_dict: expected a checkpoint that fit has written")
    if SHARED in checkpoint:
        shared = read_plain_values(path.with_name(Path(str(checkpoint[SHARED])).name))["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in shared.items() if not name.startswith("prior.")}
    return upgrade(checkpoint)


def read_plain_values(path: Path) -> dict[str, Any]:
    """The only `torch.load` of the project."""
    check_archive(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the content leads to
        raise CheckpointError(f"{path} is no readable checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no state_dict: expected a checkpoint that fit has written")
    return found
