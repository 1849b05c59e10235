"""Checkpoints of version 0.1.0 in the form of this version: arguments, classes, metrics and schedules were named otherwise."""

from typing import Any

ARGUMENTS = {"latent_density": "sampler", "code_prior": "sampler"}
CLASSES = {"lit_models.classifier.Classifier": "lit_models.evaluation.classifier.Classifier"}
METRICS = {"val/frechet": "val/fid"}
ADDED = {"image_shape": (1, 28, 28), "classes": 10, "pixel_variance": 0.0949}  # arguments of models that were constants before
NEW = {*ADDED, "left_out", "prior_lr", "prior_steps", "quantiser", "levels"}  # arguments that a checkpoint of an older version may lack
ADDED_TO_DATA = {"size": None, "invert": False}
DATA_CLASS = ("MNISTDataModule", "ImageDataModule")  # the key of the data module's state, then and now
OPTIONS = {"--density": "--sampler", "--prior": "--sampler", "--model": "--import"}  # of the commands that take a run


def upgrade(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The same checkpoint, changed in place; one of this version is left as it is."""
    arguments = checkpoint.get("hyper_parameters", {})
    for old in ARGUMENTS.keys() & arguments.keys():
        arguments[ARGUMENTS[old]] = arguments.pop(old)
    run = checkpoint.get("run", {})
    if run.get("model") in CLASSES:
        run["model"] = CLASSES[run["model"]]
    if str(run.get("model", "")).startswith("lit_models."):
        taken = ADDED if "n_codes" in arguments else {name: value for name, value in ADDED.items() if name != "pixel_variance"}
        checkpoint["hyper_parameters"] = taken | arguments
    then, now = DATA_CLASS
    if then in checkpoint:
        checkpoint[now] = checkpoint.pop(then)
        checkpoint["datamodule_hyper_parameters"] = ADDED_TO_DATA | checkpoint.get("datamodule_hyper_parameters", {})
    callbacks = checkpoint.get("callbacks", {})
    for old, new in METRICS.items():
        for key in [key for key in callbacks if repr(old) in key]:
            state = callbacks.pop(key)
            callbacks[key.replace(repr(old), repr(new))] = state | {"monitor": new}
    for schedule in checkpoint.get("lr_schedulers", []):
        if all(part is None for part in schedule.get("lr_lambdas", [0])):  # functions, whose lengths stood in the arguments only
            schedule["lr_lambdas"] = _schedule_of(arguments)
    return checkpoint


def _schedule_of(arguments: dict[str, Any]) -> list[dict[str, Any] | None]:
    """The attributes of `lit_models.training.schedules.WarmupCosine`, one per parameter group."""
    if "autoencoder_steps" in arguments:
        first, second = arguments["autoencoder_steps"], arguments["prior_steps"]
        return [{"steps": first, "start": 0, "ends": True}, {"steps": second, "start": first, "ends": False}]
    if "lr_steps" in arguments:
        return [{"steps": arguments["lr_steps"], "start": 0, "ends": False}]
    return [None]
