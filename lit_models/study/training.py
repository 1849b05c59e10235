"""Trains what a study lacks: each system once a seed, by `lightning fit` as a user would call it, in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from lit_models.study.plan import Plan, System
from lit_models.training import configs


class Failed(Exception):
    """A training that did not end well; the message is what it last said."""


def folder_of(study: Path, system: System, seed: int) -> Path:
    return study / "runs" / system.name / f"seed_{seed}"


def run_in(folder: Path) -> Path | None:
    """The run in a system's folder, if it has begun."""
    return next(iter(sorted(folder.glob("logs/*/*/version_*"))), None)


def trained(folder: Path, system: System, plan: Plan) -> bool:
    """Whether it has been trained to its end, by these very words."""
    done = folder / "done.json"
    return done.is_file() and json.loads(done.read_text()) == _words(system, plan)


def train(study: Path, system: System, seed: int, plan: Plan, root: str | None) -> None:
    """Train, or go on where a cut has left it; everything it prints is in `fit.log`.

    Raises:
        Failed: With the last lines of it.
    """
    folder = folder_of(study, system, seed)
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "study_overlay.yaml"
    overlay.write_text(yaml.safe_dump(_overlay(plan)))
    words = [word for name in (*system.config, str(overlay.resolve())) for word in ("--config", str(configs.find(name)))]
    words += ["--seed_everything", str(seed), "--data.dataset", plan.dataset, "--data.fallback", "null", *system.options]
    if root:
        words += ["--data.root", str(Path(root).resolve())]
    run = run_in(folder)
    if run is not None and (run / "checkpoints" / "last.ckpt").is_file():
        words += ["--ckpt_path", str((run / "checkpoints" / "last.ckpt").resolve())]
    environment = dict(os.environ)
    if "MNIST_ROOT" in environment:  # it may be relative, and the training has a folder of its own
        environment["MNIST_ROOT"] = str(Path(environment["MNIST_ROOT"]).resolve())
    environment["PYTHONPATH"] = os.pathsep.join([str(configs.SHIPPED.parent), environment.get("PYTHONPATH", "")])
    with (folder / "fit.log").open("w") as log:
        command = [sys.executable, "-m", "lit_models", "fit", *words]
        code = subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    said = [line for line in (folder / "fit.log").read_text().splitlines() if line.strip()]
    if code and not any("--trainer.max_epochs above" in line for line in said):  # it had been trained to its end already
        raise Failed(" | ".join(said[-3:]) or f"exit code {code}")
    (folder / "done.json").write_text(json.dumps(_words(system, plan)))


def _words(system: System, plan: Plan) -> list[str]:
    return [*system.config, *system.options, plan.dataset, str(plan.budget_minutes)]


def _overlay(plan: Plan) -> dict[str, object]:
    """What the study adds to a config: snapshots, and an end to its time."""
    seconds = round(plan.budget_minutes * 60)
    snapshots = {"class_path": "callbacks.Snapshots", "init_args": {"at_images": plan.at_images}}
    limit = f"00:{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return {"trainer": {"callbacks+": [snapshots], "max_time": limit, "enable_progress_bar": False}}
