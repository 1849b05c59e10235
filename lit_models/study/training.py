"""Trains each system of a study once per seed, by `lightning fit` in a process and a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from datamodules.named import NAMES
from lit_models.study.plan import Plan, System
from lit_models.study.settings import agree, begun_as, settings_of
from lit_models.training import configs


class Failed(Exception):
    """A training ended with an error; the message is the end of its output."""


def folder_of(study: Path, system: System, seed: int) -> Path:
    return study / "runs" / system.name / f"seed_{seed}"


def run_in(folder: Path) -> Path | None:
    """The run in a system's folder, if it has begun."""
    return next(iter(sorted(folder.glob("logs/*/*/version_*"))), None)


def trained(folder: Path, system: System, plan: Plan) -> bool:
    """Whether the system has been trained to its end with these same settings."""
    done = folder / "done.json"
    return done.is_file() and agree(json.loads(done.read_text()), settings_of(system, plan))


def train(study: Path, system: System, seed: int, plan: Plan, root: str) -> None:
    """Train a system, or resume its training after an interruption. One by other settings is replaced. The output goes to `fit.log`.

    Args:
        root: Folder of the data. It may be relative, although the training runs in a folder of its own.
    Raises:
        Failed: With the last lines of the output.
    """
    if system.seconds is not None and system.training_steps is None:
        raise Failed(f"expected a training of some steps that tells the speed of {system.name}, got one that failed")
    folder = folder_of(study, system, seed)
    begun, settings = folder / "begun.json", begun_as(system, plan)
    if begun.is_file() and json.loads(begun.read_text()) != settings:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    begun.write_text(json.dumps(settings))
    overlay = folder / "study_overlay.yaml"
    overlay.write_text(yaml.safe_dump(_overlay(system, plan)))
    arguments = ["--seed_everything", str(seed), *system.options]
    fit(folder, [*system.config, str(overlay.resolve())], plan.dataset, root, arguments)
    (folder / "done.json").write_text(json.dumps(settings_of(system, plan)))


def fit(folder: Path, names: list[str], dataset: str, root: str, arguments: list[str]) -> None:
    """`start` a training and wait for its end.

    Raises:
        Failed: With the last lines of the output.
    """
    finish(folder, start(folder, names, dataset, root, arguments))


def start(folder: Path, names: list[str], dataset: str, root: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    """`lightning fit` in a folder of its own, where it is resumed if it was interrupted. The output goes to `fit.log`.

    Args:
        names: Of configs, as `--config` takes them.
        dataset: A name, or the path of own images.
        root: Folder of the data sets that have a name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dataset = dataset if dataset in NAMES else str(Path(dataset).expanduser().resolve())
    arguments = [*arguments, "--data.dataset", dataset, "--data.root", str(Path(root).resolve())]
    arguments = [*(word for name in names for word in ("--config", str(configs.find(name)))), *arguments]
    run = run_in(folder)
    if run is not None and (run / "checkpoints" / "last.ckpt").is_file():
        arguments += ["--ckpt_path", str((run / "checkpoints" / "last.ckpt").resolve())]
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(configs.SHIPPED.parent), environment.get("PYTHONPATH", "")])
    with (folder / "fit.log").open("w") as log:
        command = [sys.executable, "-m", "lit_models", "fit", *arguments]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment)


def finish(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a training.

    Raises:
        Failed: With the last lines of the output.
    """
    try:
        code = process.wait()
    except BaseException:  # Ctrl-C: the training has got it, too, and saves what it has
        process.wait()
        raise
    output = [line for line in (folder / "fit.log").read_text().splitlines() if line.strip()]
    if code and not any("--trainer.max_epochs above" in line for line in output):  # fit refuses to resume a training that is complete
        raise Failed(" | ".join(output[-3:]) or f"exit code {code}")


def _overlay(system: System, plan: Plan) -> dict[str, Any]:
    """What the study adds to a config: snapshots, and a time limit or a number of steps."""
    if system.training_steps is not None:
        return exact_steps(system.training_steps)
    seconds = round(plan.budget_minutes * 60)
    limit = f"00:{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return {"trainer": {"callbacks+": [_snapshots(plan.at_images)], "max_time": limit, "enable_progress_bar": False}}


def exact_steps(steps: int, at_images: Sequence[int] = (), further: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """An overlay: a training of so many steps without validations, which would cost time and draw figures. The last model is kept.

    Args:
        at_images: Where a model on the way is kept, too.
        further: Further callbacks.
    """
    trainer = {
        "callbacks+": [_snapshots(at_images), *further],
        "max_steps": steps,
        "max_epochs": -1,
        "limit_val_batches": 0,
        "enable_progress_bar": False,
    }
    return {"trainer": trainer, "checkpoint": {"monitor": None}}


def _snapshots(at_images: Sequence[int]) -> dict[str, Any]:
    return {"class_path": "callbacks.Snapshots", "init_args": {"at_images": list(at_images)}}
