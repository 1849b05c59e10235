"""Writes checkpoints so that a file under its final name is always whole."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lit_models.files import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs, then renames: Lightning's own way is atomic only within one file system."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with replacing(Path(path)) as part:
            torch.save(checkpoint, part)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and plain values on the CPU; nothing in it is run. The only `torch.load` of the project.

    Raises:
        ValueError: If it is no checkpoint of Lightning's.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch.load raises what the damaged byte happened to lead to
        raise ValueError(f"{path} is no readable checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"{path} holds no state_dict: expected a checkpoint that fit has written")
    return checkpoint
