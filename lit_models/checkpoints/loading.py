"""The model of a checkpoint."""

import inspect
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from lit_models import MODELS
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.checkpoints.older_versions import NEW
from lit_models.checkpoints.runs import find_checkpoint
from lit_models.checkpoints.slim import SLIM, whole


class UnknownClass(ValueError):
    """A checkpoint of a class that is none of ours. A class path inside a file is never imported unless the user has named it."""


def load(path: str | Path, model: type[LightningModule] | None = None) -> LightningModule:
    """The trained model of a run folder, a folder of runs (its newest), or a checkpoint file: on the CPU, in evaluation mode.

    `load("pretrained/vqvae")` opens trained weights of the package.

    Args:
        model: The class, for a model of your own.
    Raises:
        FileNotFoundError: If there is no checkpoint.
        CheckpointError: If the file is damaged.
        UnknownClass: If it is none of our models, and no class is given.
        ValueError: If the file does not fit the class, or was saved before the first training step.
    """
    checkpoint, passed_over = find_checkpoint(Path(path))
    for message in passed_over:
        warnings.warn(message, stacklevel=2)
    return open_checkpoint(checkpoint, model)[0]


def open_checkpoint(checkpoint: Path, model: type[LightningModule] | None = None) -> tuple[LightningModule, dict[str, Any]]:
    """The model of a checkpoint file, and all that the file holds."""
    saved = read_checkpoint(checkpoint)
    return model_of(saved, checkpoint, model), saved


def model_of(saved: dict[str, Any], checkpoint: Path, model: type[LightningModule] | None = None) -> LightningModule:
    """The model of a checkpoint that has been read from this file."""
    if saved.get("global_step") == 0:
        raise ValueError(f"expected a model that has been trained\ngot {checkpoint}, saved before its first step\nresume it with fit")
    model = model or class_of(saved, checkpoint)
    found = model(**arguments_of(model, saved))
    try:
        found.load_state_dict(state_for(found, saved))
    except RuntimeError as error:
        raise ValueError(
            f"expected weights of {type(found).__name__} in {checkpoint}\n{str(error).splitlines()[-1].strip()[:300]}"
        ) from error
    return found.eval()


def state_for(model: LightningModule, saved: dict[str, Any]) -> dict[str, Any]:
    """The state of a checkpoint as the model takes it."""
    return whole(saved["state_dict"], model.state_dict()) if saved.get(SLIM) else saved["state_dict"]


def class_of(saved: dict[str, Any], checkpoint: Path) -> type[LightningModule]:
    """One of our models: the one that the run names or, for the checkpoint of a plain Trainer, the one that takes its arguments."""
    named = saved.get("run", {}).get("model")
    if named is None:
        given = saved.get("hyper_parameters", {}).keys() - NEW
        fitting = [path for path in MODELS.values() if parameters_of(imported(path)) - NEW == given]
        named = fitting[0] if len(fitting) == 1 else None
    if named not in MODELS.values():
        raise UnknownClass(
            f"expected one of our models in {checkpoint}\ngot {named or 'a class that the file does not name'}\nload(path, YourClass)"
        )
    return imported(named)


def arguments_of(model: type[LightningModule], saved: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a checkpoint that the constructor takes. A subclass of the user's may have saved those of its parent too.

    Raises:
        ValueError: If one of our own models has saved others.
    """
    hyper_parameters = saved.get("hyper_parameters", {})
    unknown = sorted(hyper_parameters.keys() - parameters_of(model))
    if unknown and f"{model.__module__}.{model.__qualname__}" in MODELS.values():
        raise ValueError(
            f"expected arguments of {model.__name__} in the checkpoint\ngot {', '.join(unknown)}: it is of another class or version"
        )
    kinds = {parameter.kind for parameter in inspect.signature(model).parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return dict(hyper_parameters)
    return {name: value for name, value in hyper_parameters.items() if name in parameters_of(model)}


def defaults_of(kind: type) -> dict[str, Any]:
    """The default arguments of a class: for a model, those of a checkpoint of a version that did not have the argument."""
    parameters = inspect.signature(kind).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def parameters_of(model: type[LightningModule]) -> set[str]:
    return set(inspect.signature(model).parameters)


def imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
