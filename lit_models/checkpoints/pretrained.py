"""Trained weights in the package: `load("pretrained/vqvae")`, `lightning sample vqvae --pretrained`.

The files are checkpoints that hold what sampling and measuring need, in half precision. `python -m benchmarks.pretrained` makes them.
"""

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "pretrained"
CODES = 4000  # of training images
WORD = "pretrained"
SHARED = "weights_of"  # names the file next to this one that has the weights
SLIM = "slim"  # marks a checkpoint that lacks what training alone needs
AVERAGED = "averaged_"


def names() -> list[str]:
    """The names of the trained weights in the package."""
    return sorted(file.stem for file in FOLDER.glob("*.ckpt"))


def shipped(given: Path) -> Path | None:
    """The file that `pretrained/NAME` means; None for another path, or where a file or folder of the user's has this path.

    Raises:
        FileNotFoundError: If there are no weights of this name.
    """
    if len(given.parts) != 2 or given.parts[0] != WORD or given.exists():
        return None
    file = FOLDER / f"{given.name}.ckpt"
    if not file.is_file():
        raise FileNotFoundError(f"expected pretrained/NAME with one of {', '.join(names())}\ngot {str(given)!r}")
    return file


def slim(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What sampling and measuring need of a checkpoint, in half precision.

    The network whose average is kept, the discriminator of a GAN and the centres of its clusters are left out, and so are all but the first
    `CODES` codes of training images.
    """
    state = checkpoint["state_dict"]
    twins = {name.replace(AVERAGED, "").replace(".module.", "."): name for name in state if AVERAGED in name}
    kept = {}
    for name, value in state.items():
        if name in twins or name.startswith("discriminator.") or name == "clusters.centres":
            continue
        if isinstance(value, dict):
            kept[name] = {part: half(rows[:CODES]) for part, rows in value.items()}
        else:
            kept[name] = half(value)
    data = str(checkpoint.get("run", {}).get("data", "")).rpartition(".")[2]
    facts = ("epoch", "global_step", "pytorch-lightning_version", "hyper_parameters", "datamodule_hyper_parameters", "run", data)
    return {name: checkpoint[name] for name in facts if name in checkpoint} | {"state_dict": kept, SLIM: True}


def half(tensor: Any) -> Any:
    """A tensor of a memory of its own; floating-point numbers in half precision."""
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous().clone()


def whole(state: dict[str, Any], initial: dict[str, Any]) -> dict[str, Any]:
    """The state of a slim checkpoint for `load_state_dict`: a network that was left out gets its average, all else its initial value."""
    averages = {name.replace(AVERAGED, "").replace(".module.", "."): value for name, value in state.items() if AVERAGED in name}
    return initial | {name: value for name, value in averages.items() if name in initial} | state
