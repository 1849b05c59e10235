"""The runs in a folder, as far as their files tell without torch."""

import csv
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Run:
    """A run folder.

    Args:
        config: Names of the config, its overlays and the run, as the folder has them.
        epochs: Epochs with a validation.
        monitor: The metric by which `best.ckpt` is chosen; None for a run that keeps no best one.
        best: Its best value; None before the first validation.
        age: Seconds since the run wrote a checkpoint.
        arguments: Those of the model and of its data, with their classes as `model` and `data`.
        curves: The newest value of each curve.
    """

    folder: Path
    config: str
    dataset: str
    epochs: int
    monitor: str | None
    best: float | None
    age: float
    arguments: dict[str, Any]
    curves: dict[str, float]


def runs_in(folder: Path) -> list[Run]:
    """The runs of a folder such as `logs/`, `logs/vae/` or `logs/vae/mnist/`, and the folder itself if it is a run; the newest last."""
    depths = ("", "version_*/", "*/version_*/", "*/*/version_*/")
    files = {file for depth in depths for file in folder.glob(f"{depth}config.yaml")}
    return sorted((run_in(file.parent) for file in files if (file.parent / "checkpoints").is_dir()), key=lambda run: -run.age)


def run_in(folder: Path) -> Run:
    """What the files of one run tell."""
    config = config_of(folder)
    model, data, kept = (config.get(name) or {} for name in ("model", "data", "checkpoint"))
    rows = rows_of(folder / "metrics.csv")
    monitor = kept.get("monitor")
    values = [row[monitor] for row in rows if monitor in row]
    saved = [file.stat().st_mtime for file in (folder / "checkpoints").glob("*.ckpt")]
    path = folder.absolute().parts
    return Run(
        folder=folder,
        config=path[-3],
        dataset=path[-2],
        epochs=len({row["epoch"] for row in rows if any(name.startswith("val/") for name in row)}),
        monitor=monitor,
        best=(max if kept.get("mode") == "max" else min)(values) if values else None,
        age=time.time() - max(saved, default=(folder / "config.yaml").stat().st_mtime),
        arguments=data.get("init_args", {})
        | model.get("init_args", {})
        | {"model": str(model.get("class_path", "")).rpartition(".")[2], "data": str(data.get("class_path", "")).rpartition(".")[2]},
        curves={name: value for row in rows for name, value in row.items() if name not in ("epoch", "step")},
    )


def config_of(folder: Path) -> dict[str, Any]:
    """The config.yaml of a run; an empty one if it cannot be read, so that one damaged run hides no other."""
    try:
        found = yaml.load((folder / "config.yaml").read_text(), Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def rows_of(metrics: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, each with the values that it has; none if there is no file. A row that is cut off is left out."""
    if not metrics.is_file():
        return []
    rows = []
    with metrics.open(newline="", errors="replace") as stream:
        for row in csv.DictReader(stream):
            try:
                rows.append({name: float(value) for name, value in row.items() if value != ""})
            except (TypeError, ValueError):
                continue
    return [row for row in rows if "epoch" in row]


def differing(runs: list[Run]) -> list[str]:
    """The names of the arguments in which the runs differ. An argument that a run's model lacks is None."""
    names = dict.fromkeys(name for run in runs for name in run.arguments)
    return [name for name in names if len({repr(run.arguments.get(name)) for run in runs}) > 1]
