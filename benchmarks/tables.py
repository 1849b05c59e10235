"""The tables of pages that say what the study found, from the measures in docs/study.

    python -m benchmarks.tables    # writes those that are outdated, and names the pages

A table follows a line `<!-- table NAME -->`. Its head is written by hand, in any language, and its rows are written by this command. A test
does the same and finds no difference.
"""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lit_models.evaluation.sample_quality import FIRST
from lit_models.study.expressions import error_name
from lit_models.study.measuring import measures_of
from lit_models.study.plan import read_plan
from lit_models.study.rows import rows_of
from lit_models.study.tuning import OBJECTIVE
from lit_models.training import configs

Row = dict[str, Any]
Rows = dict[tuple[str, str], Row]  # by system and sampler

ROOT = Path(__file__).parent.parent
STUDY = ROOT / "docs" / "study"
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TABLE = re.compile(r"(<!-- table (\w+) -->\n(?:\|.*\n){2})((?:\|.*\n)*)")
EIGHT = {
    "latent_flow": "flow",
    "flow": "own",
    "vqvae": "autoregressive",
    "gan_conditional": "own",
    "vae_gan": "class_gmm",
    "ae": "class_gmm",
    "vae": "class_gmm",
    "vae_conditional": "own",
}  # the systems of the README with the sampler that takes labels


def main() -> None:
    rows = measured()
    for page in PAGES:
        text = page.read_text()
        if (found := with_tables(text, rows)) != text:
            page.write_text(found)
            print(f"{page.relative_to(ROOT)}: written")


def with_tables(text: str, rows: Rows) -> str:
    """A page with the rows that its tables have by the measures."""
    return TABLE.sub(lambda found: found[1] + "".join(f"| {' | '.join(cells)} |\n" for cells in TABLES[found[2]](rows)), text)


def measured() -> Rows:
    """The rows of the study that have been measured, those of trainings with the settings that were found included."""
    plan = read_plan(configs.find("study")).with_variants()
    for system in plan.tuned():
        if (best := STUDY / "tuning" / system.name / "best.json").is_file():
            plan = plan.with_tuned(system, json.loads(best.read_text())["values"])
    files = {system.name: [measures_of(STUDY, system, seed) for seed in plan.seeds_of(system)] for system in plan.systems.values()}
    found = {name: [json.loads(file.read_text()) for file in own if file.is_file()] for name, own in files.items()}
    return {(row["system"], row["sampler"]): row for row in rows_of(STUDY, found, plan, plan.samples, FIRST) if row["values"]}


def cell(name: str, values: dict[str, Any]) -> str:
    """A mean over seeds; a kernel distance with half the width of its interval. Empty if it was not measured."""
    found = values.get(name)
    if found is None:
        return ""
    if name.startswith("kid"):
        return f"{found['mean']:.1f} ± {(found['high'] - found['low']) / 2:.1f}"
    return f"{found['mean']:.3f}"


def real(names: tuple[str, ...]) -> list[str]:
    """The row of real images: training images next to test images."""
    values = json.loads((STUDY / "controls.json").read_text())["rows"][0]["values"]
    cells = {name: {"mean": values[name], "low": 0.0, "high": 2 * 1.96 * values.get(error_name(name), 0.0)} for name in names}
    return ["real images", *(cell(name, cells) for name in names)]


def titled(row: Row) -> str:
    """The title of a row, with its sampler where it has one of several."""
    return row["title"] + (f", {row['sampler']}" if row["sampler"] not in ("", "own") else "")


def equal(rows: Rows) -> list[list[str]]:
    """Coverage and KID of the systems that are equal, after each number of seconds."""
    lengths = sorted({row["variant"]["seconds"] for row in rows.values() if row["variant"] and row["variant"]["factor"] is None})
    names, table = ("coverage", "kid", "kid_untrained"), []
    for system, sampler in EIGHT.items():
        found = [rows.get((f"{system}_{length:g}s", sampler)) for length in lengths]
        first = next(row for row in found if row is not None)
        cells = [cell(name, row["values"] if row else {}) for name in names for row in found]
        table.append([titled(first).replace(f", {lengths[0]:g} s", "", 1), *cells])
    return [*table, ["real images", *(each for each in real(names)[1:] for _ in lengths)]]


def search(rows: Rows) -> list[list[str]]:
    """The objective of the search with the defaults and with the best values that were found, and how many trials ran to their end."""
    table = []
    for system in EIGHT:
        with (STUDY / "tuning" / system / "trials.csv").open(newline="") as stream:
            trials = list(csv.DictReader(stream))
        default = next(trial for trial in trials if trial["trial"] == "0")
        ended = sum(trial["state"] == "complete" for trial in trials)
        names = [name for name in trials[0] if name not in ("trial", "state", OBJECTIVE)]
        found = {name: float(trials[0][name]) for name in names if float(trials[0][name]) != float(default[name])}
        values = ", ".join(f"`{name}` {value:.0f}" if value.is_integer() else f"`{name}` {value:.2g}" for name, value in found.items())
        table.append(
            [f"`{system}`", f"{float(default[OBJECTIVE]):.2f}", f"{float(trials[0][OBJECTIVE]):.2f}", values, f"{ended} of {len(trials)}"]
        )
    return table


TABLES: dict[str, Callable[[Rows], list[list[str]]]] = {"equal": equal, "search": search}

if __name__ == "__main__":
    main()
