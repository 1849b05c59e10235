"""Writes the results of a study from its measures: results.json, results.csv and the page."""

import csv
import datetime
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_models.checkpoints.files import replacing
from lit_models.evaluation.yardstick import Yardstick
from lit_models.study.agreement import agreement
from lit_models.study.claims import decide
from lit_models.study.columns import columns_of
from lit_models.study.expressions import Measures
from lit_models.study.measuring import is_measured, measures_of, write_json
from lit_models.study.page import write_page
from lit_models.study.plan import Plan, System
from lit_models.study.rows import rows_of
from lit_models.study.speed import known_speed

PACKAGES = ("lit-generative", "torch", "lightning", "torchvision", "torchmetrics", "scikit-learn")


def write_results(study: Path, plan: Plan, yardstick: Yardstick, about: dict[str, Any], controls: list[dict[str, Any]]) -> Path:
    """Write the results of all measures in the folder, also of those that other processes made. Returns the page."""
    found = {}
    for system in plan.systems.values():
        seeds = [seed for seed in plan.seeds_of(system) if is_measured(study, system, seed, plan, yardstick)]
        found[system.name] = read_measures(study, system, seeds, plan)
    spaces = list(yardstick.spaces.widths)
    measures = measures_over(found, plan, yardstick.n, spaces)
    results: dict[str, Any] = {
        "study": about,
        "columns": [column._asdict() for column in columns_of(spaces, yardstick.inception)],
        "controls": controls,
        "rows": rows_of(study, found, plan, yardstick.n, spaces[0]),
        "stages": [
            {"system": system.name, "title": system.title, "seed": each["seed"], **stage}
            for system in plan.systems.values()
            for each in found[system.name]
            for stage in each["stages"]
        ],
        "responses": [
            {"system": system.name, "title": system.title, "at": place, **curves}
            for system in plan.systems.values()
            for each in found[system.name][:1]
            for place, curves in each["responses"].items()
        ],
        "knobs": [
            {"system": system.name, "title": system.title, "points": each["knob"]}
            for system in plan.systems.values()
            for each in found[system.name][:1]
            if each["knob"]
        ],
        "agreement": agreement(found, spaces),
        "claims": [decide(claim, measures, plan) for claim in plan.claims],
        "pictures": [picture for system in plan.systems.values() for picture in _pictures(study, system)],
    }
    write_json(study / "results.json", results)
    _write_csv(study / "results.csv", results)
    return write_page(study)


def measures_over(found: dict[str, list[dict[str, Any]]], plan: Plan, images: int, spaces: list[str]) -> Measures:
    """The measures of all seeds of all systems, for the expressions of claims.

    Args:
        images: Number of images behind a share.
    """
    variants = {system.name for system in plan.systems.values() if system.variant_of}
    return Measures([each for seeds in found.values() for each in seeds], images, spaces, variants)


def about(plan: Plan, machine: str, yardstick: Yardstick, small: Yardstick, recipe: str) -> dict[str, Any]:
    """Data set, date, budget, versions, machine and yardstick: numbers cannot be compared without them.

    Args:
        yardstick: For the last measurement of each system.
        small: For all that is measured before.
        recipe: How the judge was made.
    """
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "title": plan.title,
        "date": datetime.date.today().isoformat(),
        "dataset": plan.dataset,
        "machine": machine,
        "versions": versions,
        "judge": {"sha256": yardstick.judge.sha256, "recipe": recipe} if yardstick.judge else None,
        "yardstick": {"sha256": yardstick.sha256},
        "spaces": list(yardstick.spaces.widths),
        "features": ", ".join([*yardstick.spaces.widths, *(["inception"] if yardstick.inception else [])]),
        "splits": {
            "last measurement": {"split": yardstick.split, "images": yardstick.n},
            "snapshots and temperatures": {"split": small.split, "images": small.n},
        },
        "budget_seconds": round(plan.budget_minutes * 60),
        "samples": yardstick.n,
        "notes": plan.notes,
    }


def read_measures(study: Path, system: System, seeds: Sequence[int], plan: Plan) -> list[dict[str, Any]]:
    """The measures of these seeds of a system, with the operations of its training if they have been counted."""
    found = [json.loads(measures_of(study, system, seed).read_text()) for seed in seeds]
    speed = known_speed(study, system, plan)
    images = [each["trained"]["images"] for each in found]
    return [each | ({"flops": speed.flops(seen, seen)} if speed else {}) for each, seen in zip(found, images, strict=True)]


def _pictures(study: Path, system: System) -> list[dict[str, str]]:
    found = []
    for file in sorted((study / "pictures").glob(f"{system.name}__*.png")):
        _, kind, sampler = file.stem.split("__")
        caption = f"{system.title}, {sampler.replace('_', ' ')}" if sampler else system.title
        found.append({"system": system.name, "title": system.title, "kind": kind, "caption": caption, "file": f"pictures/{file.name}"})
    return found


def _write_csv(file: Path, results: dict[str, Any]) -> None:
    """One line per row of the table. A measure has four columns: mean, standard deviation over seeds, and the ends of its interval."""
    heads = [f"{column['key']}{end}" for column in results["columns"] for end in ("", "_std", "_low", "_high")]
    with replacing(file) as part, part.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["system", "sampler", "labelled", "seeds", "error", *heads], restval="", extrasaction="ignore")
        writer.writeheader()
        for control in results["controls"]:
            line = {"system": control["name"]}
            for column in results["columns"]:
                value, error = control["values"].get(column["key"]), control["values"].get(column["error"])
                line |= {} if value is None else {column["key"]: value}
                if value is not None and error is not None:
                    line |= {f"{column['key']}_low": value - 1.96 * error, f"{column['key']}_high": value + 1.96 * error}
            writer.writerow(line)
        for row in results["rows"]:
            line = {"system": row["system"], "sampler": row["sampler"], "labelled": row["labelled"], "error": row["error"] or ""}
            line["seeds"] = " ".join(map(str, row["seeds"]))
            for key, cell in row["values"].items():
                line |= {key: cell["mean"], f"{key}_low": cell["low"], f"{key}_high": cell["high"]}
                line |= {f"{key}_std": cell["std"]} if cell["n"] > 1 else {}
            writer.writerow(line)
