"""Writes the results of a study from its measures: results.json, results.csv and the page."""

import csv
import datetime
import importlib.metadata
import json
import platform
import statistics
from pathlib import Path
from typing import Any

from lit_models.checkpoints.files import replacing
from lit_models.evaluation.yardstick import Yardstick
from lit_models.study.claims import decide
from lit_models.study.columns import COLUMNS, columns_of
from lit_models.study.expressions import Measures, flat
from lit_models.study.measuring import is_measured, measures_of, write_json
from lit_models.study.page import write_page
from lit_models.study.plan import Plan, System
from lit_models.study.training import folder_of

PACKAGES = ("lit-generative", "torch", "lightning", "torchvision", "torchmetrics", "scikit-learn")


def write_results(study: Path, plan: Plan, yardstick: Yardstick, about: dict[str, Any], controls: list[dict[str, Any]]) -> Path:
    """Write the results of all measures in the folder, also of those that other processes made. Returns the page."""
    found = {name: _measures_of_system(study, system, plan, yardstick) for name, system in plan.systems.items()}
    measures = Measures([each for seeds in found.values() for each in seeds], yardstick.n, list(yardstick.spaces.widths))
    results: dict[str, Any] = {
        "study": about,
        "columns": [column._asdict() for column in columns_of(yardstick.spaces.widths, yardstick.inception)],
        "controls": controls,
        "rows": [row for system in plan.systems.values() for row in _rows(study, system, found[system.name], plan)],
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
        "claims": [decide(claim, measures, plan) for claim in plan.claims],
        "pictures": [picture for system in plan.systems.values() for picture in _pictures(study, system)],
    }
    write_json(study / "results.json", results)
    _write_csv(study / "results.csv", results)
    return write_page(study)


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


def _measures_of_system(study: Path, system: System, plan: Plan, yardstick: Yardstick) -> list[dict[str, Any]]:
    seeds = [seed for seed in plan.seeds_of(system) if is_measured(study, system, seed, yardstick)]
    return [json.loads(measures_of(study, system, seed).read_text()) for seed in seeds]


def _rows(study: Path, system: System, found: list[dict[str, Any]], plan: Plan) -> list[dict[str, Any]]:
    """The main row, which also has the measures of the model as a whole, and one row for each further sampler."""
    base = {"system": system.name, "title": system.title, "seeds": [each["seed"] for each in found], "note": system.note, "error": None}
    failed = [file.read_text() for seed in plan.seeds_of(system) if (file := folder_of(study, system, seed) / "error.txt").is_file()]
    if not found:
        return [base | {"sampler": "", "main": True, "labelled": False, "values": {}, "error": failed[0] if failed else "not trained yet"}]
    if failed:
        base["note"] = f"{base['note']} A seed failed: {failed[0]}".strip()
    rows = []
    for number, sampler in enumerate(found[0]["samplers"] or {"": {}}):
        values = [flat(each) if number == 0 else each["samplers"].get(sampler, {}) for each in found]
        labelled = sampler in found[0]["labelled"]
        rows.append(base | {"sampler": sampler, "main": number == 0, "labelled": labelled, "values": _over_seeds(values)})
    return rows


def _over_seeds(values: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """For each column the mean, the standard deviation, the worst value and the number of the seeds that have it.

    A column with a standard error also has the half of its 95 % interval, `interval`: 1.96 standard errors, averaged over seeds.
    """
    found = {}
    for column in COLUMNS:
        have = [float(each[column.key]) for each in values if each.get(column.key) is not None]
        if have:
            worst = max(have) if column.better == "lower" else min(have)
            spread = statistics.stdev(have) if len(have) > 1 else 0.0
            found[column.key] = {"mean": statistics.fmean(have), "std": spread, "worst": worst, "n": len(have)}
            errors = [float(each[column.error]) for each in values if column.error and each.get(column.error) is not None]
            if errors:
                found[column.key]["interval"] = 1.96 * statistics.fmean(errors)
    return found


def _pictures(study: Path, system: System) -> list[dict[str, str]]:
    found = []
    for file in sorted((study / "pictures").glob(f"{system.name}__*.png")):
        _, kind, sampler = file.stem.split("__")
        caption = f"{system.title}, {sampler.replace('_', ' ')}" if sampler else system.title
        found.append({"system": system.name, "title": system.title, "kind": kind, "caption": caption, "file": f"pictures/{file.name}"})
    return found


def _write_csv(file: Path, results: dict[str, Any]) -> None:
    """One line per row of the table. A measure has two columns, the mean over seeds and, if there are several, the standard deviation.

    A measure with a standard error has a third one, the half of its 95 % interval.
    """
    columns = results["columns"]
    heads = [
        name
        for column in columns
        for name in (column["key"], f"{column['key']}_std", *([f"{column['key']}_interval"] * bool(column["error"])))
    ]
    with replacing(file) as part, part.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["system", "sampler", "labelled", "seeds", "error", *heads], restval="")
        writer.writeheader()
        for control in results["controls"]:
            line = {column["key"]: control["values"].get(column["key"], "") for column in columns}
            for column in columns:
                if control["values"].get(column["error"]) is not None:
                    line[f"{column['key']}_interval"] = 1.96 * control["values"][column["error"]]
            writer.writerow({"system": control["name"]} | line)
        for row in results["rows"]:
            line = {"system": row["system"], "sampler": row["sampler"], "labelled": row["labelled"], "error": row["error"] or ""}
            line["seeds"] = " ".join(map(str, row["seeds"]))
            for key, cell in row["values"].items():
                line |= {key: cell["mean"]} | ({f"{key}_std": cell["std"]} if cell["n"] > 1 else {})
                line |= {f"{key}_interval": cell["interval"]} if "interval" in cell else {}
            writer.writerow({head: line[head] for head in line if head in writer.fieldnames})
