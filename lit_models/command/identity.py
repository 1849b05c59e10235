"""Whether a checkpoint may be resumed: as the model, on the data and with the seed that it was trained with."""

import re
from pathlib import Path
from typing import Any

from lit_models.checkpoints.loading import arguments_of, defaults_of
from lit_models.command.errors import UserError
from lit_models.command.linked import is_on_the_command_line

LENGTH = re.compile(r"model\.(\w+_)?steps")  # of schedules and phases


def check_identity(checkpoint: Path, saved: dict[str, Any], config: Any, model: Any, data: Any, dataset: str, fitting: bool) -> None:
    """Compare a checkpoint with the config that would resume it.

    A length that the config leaves null is that of the checkpoint.

    Raises:
        UserError: If class, arguments, data set or seed differ; learning rates that the command line names may differ.
    """
    run = saved.get("run", {})
    then = {"model": run.get("model"), "dataset": run.get("dataset")}
    now = {"model": config.model.class_path, "dataset": dataset}
    if then == now:
        if fitting and "seed" in run:
            then["seed_everything"], now["seed_everything"] = run["seed"], config.seed_everything
        then |= {f"model.{key}": value for key, value in (defaults_of(type(model)) | arguments_of(type(model), saved)).items()}
        now |= {f"model.{key}": value for key, value in arguments_of(type(model), {"hyper_parameters": model.hparams}).items()}
        then |= {f"data.{key}": value for key, value in saved.get("datamodule_hyper_parameters", {}).items()}
        now |= {f"data.{key}": value for key, value in data.hparams.items()}
        for each in (then, now):  # own images may lie elsewhere by now; the data module compares the images themselves
            each.pop("data.dataset", None)
    differing = [
        f"{key} {then.get(key)} there, {now.get(key)} here"
        for key in sorted(then | now)
        if then.get(key) != now.get(key) and not named_on_the_command_line(key) and not (LENGTH.fullmatch(key) and now.get(key) is None)
    ]
    if differing:
        raise UserError(
            f"expected the model and data that {checkpoint} was trained with",
            f"got a difference: {'; '.join(differing)}",
            f"use the old values, or start anew from its weights: --weights {checkpoint} without --ckpt_path",
        )


def named_on_the_command_line(key: str) -> bool:
    """Whether it is a learning rate, or the length of its schedule, that the command line names: these may change in a run."""
    name = re.fullmatch(r"model\.(?:\w+_)?lr(?:_steps)?", key)
    return name is not None and is_on_the_command_line(key.removeprefix("model."))
