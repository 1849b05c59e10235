"""Trains each system of a study once per seed, by `lightning fit` in a process and a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from datamodules.named import NAMES
from lit_models.study.plan import Plan, System
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
    return done.is_file() and json.loads(done.read_text()) == _settings(system, plan)


def train(study: Path, system: System, seed: int, plan: Plan, root: str) -> None:
    """Train a system, or resume its training after an interruption. The output goes to `fit.log`.

    Args:
        root: Folder of the data. It may be relative, although the training runs in a folder of its own.
    Raises:
        Failed: With the last lines of the output.
    """
    folder = folder_of(study, system, seed)
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "study_overlay.yaml"
    overlay.write_text(yaml.safe_dump(_overlay(plan)))
    arguments = ["--seed_everything", str(seed), *system.options]
    fit(folder, [*system.config, str(overlay.resolve())], plan.dataset, root, arguments)
    (folder / "done.json").write_text(json.dumps(_settings(system, plan)))


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


def _settings(system: System, plan: Plan) -> list[str]:
    """The settings that decide whether a system has to be trained again."""
    return [*system.config, *system.options, plan.dataset, str(plan.budget_minutes)]


def _overlay(plan: Plan) -> dict[str, object]:
    """What the study adds to a config: snapshots and a time limit."""
    seconds = round(plan.budget_minutes * 60)
    snapshots = {"class_path": "callbacks.Snapshots", "init_args": {"at_images": plan.at_images}}
    limit = f"00:{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return {"trainer": {"callbacks+": [snapshots], "max_time": limit, "enable_progress_bar": False}}
