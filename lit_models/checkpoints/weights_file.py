"""Weights as a safetensors file, with all that sampling and measuring need: no code, no optimiser, half the size if asked.

`load("model.safetensors")` and every command that takes a checkpoint read such a file. A training cannot be resumed from it.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_models.checkpoints.archive import CheckpointError
from lit_models.checkpoints.files import replacing

SUFFIX = ".safetensors"
KEPT = ("epoch", "global_step", "pytorch-lightning_version", "hyper_parameters", "datamodule_hyper_parameters", "run")
KEY = "lit_generative"  # of the metadata
EXTRA = "._extra_state"  # of torch: the state of a module that is no parameter and no buffer


def write_weights(checkpoint: dict[str, Any], file: Path, half: bool = False) -> None:
    """Write the weights of a checkpoint.

    Args:
        half: Store floating-point numbers in half precision. They are read back in single precision.
    """
    from safetensors.torch import save

    kept = facts_of(checkpoint)
    tensors = {name: stored(tensor, half) for name, tensor in flat(checkpoint)}
    with replacing(file) as part:
        part.write_bytes(save(tensors, {"format": "pt", KEY: json.dumps(marked(kept))}))


def read_weights(file: Path) -> dict[str, Any]:
    """A checkpoint with the weights of a file that `write_weights` has written.

    Raises:
        CheckpointError: If it is damaged, or of another program.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise CheckpointError(f"{file} needs safetensors to be read: pip install 'lit-generative[export]'") from error
    try:
        with safe_open(str(file), framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118, it is no dict
        kept = unmarked(json.loads(metadata[KEY]))
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{file} holds no weights of this package: expected a file of lightning export") from error
    state: dict[str, Any] = {}
    for name, tensor in tensors.items():
        whole = tensor.float() if tensor.dtype == torch.half else tensor
        module, extra, part = name.partition(f"{EXTRA}.")
        if extra:
            state.setdefault(f"{module}{EXTRA}", {})[part] = whole
        else:
            state[name] = whole
    return kept | {"state_dict": state}


def facts_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What sampling and measuring need to know of a checkpoint besides its weights, the state of its data module included."""
    data_class = str(checkpoint.get("run", {}).get("data", "")).rpartition(".")[2]
    return {name: checkpoint[name] for name in (*KEPT, data_class) if name in checkpoint}


def stored(tensor: Tensor, half: bool) -> Tensor:
    """The tensor in a memory of its own, in half precision if asked."""
    return (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous().clone()


def flat(checkpoint: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """The tensors of a checkpoint by name; those of an extra state get a name each."""
    found: list[tuple[str, Tensor]] = []
    for name, value in checkpoint["state_dict"].items():
        found += [(f"{name}.{part}", tensor) for part, tensor in value.items()] if isinstance(value, dict) else [(name, value)]
    return found


def marked(value: Any) -> Any:
    """Plain values for JSON, which knows no tuples."""
    if isinstance(value, tuple):
        return {"tuple": [marked(each) for each in value]}
    if isinstance(value, list):
        return [marked(each) for each in value]
    return {name: marked(each) for name, each in value.items()} if isinstance(value, dict) else value


def unmarked(value: Any) -> Any:
    """The inverse of `marked`."""
    if isinstance(value, list):
        return [unmarked(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"tuple"} and isinstance(value["tuple"], list):
        return tuple(unmarked(each) for each in value["tuple"])
    return {name: unmarked(each) for name, each in value.items()}
