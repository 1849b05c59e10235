"""The rows of the table of a study: measures over seeds with their intervals, and the marks of the best."""

import statistics
from pathlib import Path
from typing import Any

from lit_models.evaluation.sample_quality import key
from lit_models.study.columns import COLUMNS
from lit_models.study.expressions import LEAST_COVERAGE, error_name, errors_of, flat
from lit_models.study.intervals import Estimate, estimate
from lit_models.study.plan import Plan, System
from lit_models.study.training import folder_of

Row = dict[str, Any]
Estimates = dict[str, Estimate]  # by the key of a column


def rows_of(study: Path, found: dict[str, list[Row]], plan: Plan, images: int, space: str) -> list[Row]:
    """All rows: for each system its main row, which also has the measures of the model as a whole, and one for each further sampler.

    Args:
        found: The measures of the seeds of each system.
        images: Number of images behind a share.
        space: The first space of features, whose coverage a row needs to be the best.
    """
    rows = [pair for system in plan.systems.values() for pair in _rows(study, system, found[system.name], plan, images)]
    for table in {_table(row) for row, _ in rows}:
        _mark_best([pair for pair in rows if _table(pair[0]) == table and _may_be_best(pair[0], key("coverage", space))])
    return [row for row, _ in rows]


def one_of_each(rows: list[Row]) -> list[Row]:
    """One row of each system, of a sampler that takes labels if there is one, with what a model has once, such as its parameters."""
    found = []
    for name in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == name]
        shown = min(own, key=lambda row: (not row["labelled"], not row["main"]))
        model: Row = next((row["values"] for row in own if row["main"]), {})
        found.append(shown | {"values": model | shown["values"]})
    return found


def _rows(study: Path, system: System, found: list[Row], plan: Plan, images: int) -> list[tuple[Row, Estimates]]:
    variant = (
        {"of": system.variant_of, "seconds": system.seconds, "factor": system.factor, "tuned": system.tuned} if system.variant_of else None
    )
    base = {
        "system": system.name,
        "title": system.title,
        "variant": variant,
        "seeds": [each["seed"] for each in found],
        "note": system.note,
    }
    base |= {"best": [], "error": None, "command": command(system, plan)}
    failed = [file.read_text() for seed in plan.seeds_of(system) if (file := folder_of(study, system, seed) / "error.txt").is_file()]
    if not found:
        error = failed[0] if failed else "not trained yet"
        return [(base | {"sampler": "", "main": True, "labelled": False, "values": {}, "error": error}, {})]
    if failed:
        base["note"] = f"{base['note']} A seed failed: {failed[0]}".strip()
    rows = []
    for number, sampler in enumerate(found[0]["samplers"] or {"": {}}):
        of_seeds = [flat(each) if number == 0 else each["samplers"].get(sampler, {}) for each in found]
        values, estimates = _over_seeds(of_seeds, system.name, f"{system.name}:{sampler}", images)
        own = {"best": [], "sampler": sampler, "main": number == 0, "labelled": sampler in found[0]["labelled"], "values": values}
        rows.append((base | own, estimates))
    return rows


def command(system: System, plan: Plan) -> str:
    """The command that trains a system as the study does, but for its snapshots."""
    configs = [word for name in system.config for word in ("--config", name)]
    length = [] if system.training_steps is None else [f"--trainer.max_steps={system.training_steps}", "--trainer.max_epochs=-1"]
    data = [] if plan.dataset == "mnist" else ["--data.dataset", plan.dataset]
    return " ".join(["lightning fit", *configs, *system.options, *length, *data, "--seed_everything", str(plan.seeds_of(system)[0])])


def _over_seeds(of_seeds: list[Row], system: str, row: str, images: int) -> tuple[dict[str, Row], Estimates]:
    """For each column the mean, the standard deviation and the number of the seeds that have it, and the ends of its interval."""
    cells, estimates = {}, {}
    for name in (column.key for column in COLUMNS):
        have = [each for each in of_seeds if each.get(name) is not None]
        if have:
            values = [float(each[name]) for each in have]
            errors = errors_of(name, values, [each.get(error_name(name)) for each in have], images)
            estimates[name] = estimate(values, errors, system, f"{row}.{name}")
            _, low, high = estimates[name].interval()
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells[name] = {"mean": statistics.fmean(values), "std": spread, "n": len(values), "low": low, "high": high}
    return cells, estimates


def _table(row: Row) -> tuple[bool, float | None, bool]:
    """Rows are compared within a table: with labels or without, of one length of training, growth apart."""
    variant = row["variant"] or {"seconds": None, "factor": None}
    return bool(row["labelled"]), variant["seconds"], variant["factor"] is not None


def _may_be_best(row: Row, coverage: str) -> bool:
    """Whether a row covers at least half of the real images, and is a main row or one of a variant, whose rows are all compared."""
    covered = row["values"].get(coverage)
    return covered is not None and covered["mean"] >= LEAST_COVERAGE and bool(row["main"] or row["variant"])


def _mark_best(rows: list[tuple[Row, Estimates]]) -> None:
    """Note in each row the columns in which it is the best, or not told apart from the best: the interval of the difference contains 0."""
    for column in COLUMNS:
        have = [(row, estimates[column.key]) for row, estimates in rows if column.key in estimates]
        if have and column.better is not None:
            sign = 1 if column.better == "higher" else -1
            _, top = max(have, key=lambda pair: sign * pair[1].value)
            for row, found in have:
                _, low, high = Estimate(0.0, top.draws - found.draws).interval()
                if found is top or low <= 0 <= high:
                    row["best"].append(column.key)
