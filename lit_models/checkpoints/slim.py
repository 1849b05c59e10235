"""Checkpoints without what training alone needs, in half precision: those that travel with the package."""

from typing import Any

from lit_models.checkpoints.weights_file import facts_of, stored

CODES = 4000  # of training images
SHARED = "weights_of"  # names the file next to this one that has the weights
SLIM = "slim"  # marks a checkpoint that lacks what training alone needs
AVERAGED = "averaged_"


def slim(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What sampling and measuring need of a checkpoint, in half precision.

    The network whose average is kept, the discriminator of a GAN and the centres of its clusters are left out, and so are all but the first
    `CODES` codes of training images.
    """
    state, kept = checkpoint["state_dict"], {}
    twins = {twin_of(name) for name in state if AVERAGED in name}
    for name, value in state.items():
        if name in twins or name.startswith("discriminator.") or name == "clusters.centres":
            continue
        is_codes = isinstance(value, dict)
        kept[name] = {part: stored(rows[:CODES], half=True) for part, rows in value.items()} if is_codes else stored(value, half=True)
    return facts_of(checkpoint) | {"state_dict": kept, SLIM: True}


def twin_of(name: str) -> str:
    """The name of the weight whose average has this name."""
    return name.replace(AVERAGED, "").replace(".module.", ".")


def whole(state: dict[str, Any], initial: dict[str, Any]) -> dict[str, Any]:
    """The state of a slim checkpoint for `load_state_dict`: a network that was left out gets its average, all else its initial value."""
    averages = {twin_of(name): value for name, value in state.items() if AVERAGED in name}
    return initial | {name: value for name, value in averages.items() if name in initial} | state
