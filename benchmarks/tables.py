"""The tables of pages that say what the study found, from the measures in docs/study.

    python -m benchmarks.tables    # writes those that are outdated, and names the pages

A table follows a line `<!-- table NAME -->`, where NAME is one of `TABLES`, or

    <!-- rows MEASURE ...: SYSTEM/SAMPLER ... -->

The head is written by hand, in any language, and the numbers are written by this command. A system without `/SAMPLER` is its main row, `_`
stands for a space, `real` are real images, and `judged/NAME` is what `lightning judge` wrote into `docs/yardstick/NAME.json`. Titles in
`rows` may be changed by hand, and stay. A test does the same and finds no difference.
"""

import csv
import json
import math
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.own_length import lines
from lit_models.evaluation.sample_quality import FIRST, key
from lit_models.study.agreement import agreement
from lit_models.study.columns import COLUMNS, SPACES
from lit_models.study.measuring import measures_of
from lit_models.study.plan import Plan, read_plan
from lit_models.study.results import with_operations
from lit_models.study.rows import rows_of
from lit_models.study.tuning import OBJECTIVE
from lit_models.study.variant_charts import exponents, variant_points
from lit_models.training import configs

DIGITS = {column.key: column.digits for column in COLUMNS}
ERRORS = {column.key: column.error for column in COLUMNS}
Row = dict[str, Any]
Rows = dict[tuple[str, str], Row]  # by system and sampler

ROOT = Path(__file__).parent.parent
STUDY = ROOT / "docs" / "study"
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TABLE = re.compile(r"(<!-- (table|rows) ([^>]+) -->\n(?:\|.*\n){2})((?:\|.*\n)*)")
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

    def written(found: re.Match[str]) -> str:
        titles = [line.strip("| ").split(" |")[0] for line in found[4].splitlines()]
        cells = TABLES[found[3]](rows) if found[2] == "table" else chosen(found[3], titles, rows)
        return found[1] + "".join(f"| {' | '.join(each)} |\n" for each in cells)

    return TABLE.sub(written, text)


def chosen(asked: str, titles: list[str], rows: Rows) -> list[list[str]]:
    """The rows that a page asks for, with their titles in the page, or else those of the study."""
    measures, _, places = asked.partition(": ")
    names, table = measures.split(), []
    for number, place in enumerate(found := places.split()):
        system, _, sampler = place.partition("/")
        if system == "judged":
            cells = judged(sampler, names)
        else:
            cells = real(names) if place == "real" else of_row(row_at(system, sampler, rows), names)
        table.append([titles[number] if len(titles) == len(found) else cells[0], *cells[1:]])
    return table


def row_at(system: str, sampler: str, rows: Rows) -> Row:
    """The row of a sampler of a system; without a sampler its main row."""
    found = [row for (name, own), row in rows.items() if name == system and (own.replace(" ", "_") == sampler if sampler else row["main"])]
    if not found:
        raise ValueError(
            f"expected a measured row in docs/study/measures\ngot {system}/{sampler}\nthere are {', '.join(map('/'.join, rows))}"
        )
    return found[0]


def of_row(row: Row, names: Sequence[str]) -> list[str]:
    return [titled(row), *(str(len(row["seeds"])) if name == "seeds" else cell(name, row["values"]) for name in names)]


def measured() -> Rows:
    """The rows of the study that have been measured, those of trainings with the settings that were found included."""
    plan, found = measures()
    return {(row["system"], row["sampler"]): row for row in rows_of(STUDY, found, plan, plan.samples, FIRST) if row["values"]}


def measures() -> tuple[Plan, dict[str, list[dict[str, Any]]]]:
    """The plan of the study with all variants, and the measures of each system that are in docs/study."""
    plan = read_plan(configs.find("study")).with_variants()
    for system in plan.tuned():
        if (best := STUDY / "tuning" / system.name / "best.json").is_file():
            plan = plan.with_tuned(system, json.loads(best.read_text())["values"])
    files = {name: [measures_of(STUDY, system, seed) for seed in plan.seeds_of(system)] for name, system in plan.systems.items()}
    found = {name: [json.loads(file.read_text()) for file in own if file.is_file()] for name, own in files.items()}
    return plan, {name: with_operations(found[name], STUDY, system, plan) for name, system in plan.systems.items()}


def cell(name: str, values: dict[str, Any]) -> str:
    """A mean over seeds; a kernel distance and a number of nats with half the width of their intervals. Empty if it was not measured."""
    found = values.get(name)
    if found is None:
        return ""
    if name.startswith("kid") or name == "nats":
        return f"{found['mean']:.1f} ± {(found['high'] - found['low']) / 2:.1f}"
    return f"{found['mean']:,.{DIGITS[name]}f}"


def real(names: Sequence[str]) -> list[str]:
    """The row of real images: training images next to test images."""
    return measured_once("real images", json.loads((STUDY / "controls.json").read_text())["rows"][0]["values"], names)


def judged(name: str, names: Sequence[str]) -> list[str]:
    """The row of samples of another program."""
    found = json.loads((ROOT / "docs" / "yardstick" / f"{name}.json").read_text())
    return measured_once(name, found["measures"], names)


def measured_once(title: str, values: dict[str, float | None], names: Sequence[str]) -> list[str]:
    """A row of one set of images, with the interval of its errors."""
    have = {name: value for name in names if (value := values.get(name)) is not None}
    errors = {name: 1.96 * (values.get(ERRORS[name] or "") or 0.0) for name in have}
    cells = {name: {"mean": value, "low": value - errors[name], "high": value + errors[name]} for name, value in have.items()}
    return [title, *(cell(name, cells) for name in names)]


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
        objectives = [f"{float(trial[OBJECTIVE]):.2f}" for trial in (default, trials[0])]
        table.append([f"`{system}`", *objectives, values, f"{ended} of {len(trials)}"])
    return table


def own_length(rows: Rows) -> list[list[str]]:
    """Settings that were found and the defaults at the length of the config, next to validation images: means over the seeds."""
    table, known = [], lines()
    for system, options in dict.fromkeys((line["system"], line["options"]) for line in known):
        own = [line for line in known if (line["system"], line["options"]) == (system, options)]
        shown = " ".join(f"`{option}`" for option in options.split()) or "as shipped"
        cells = [f"{statistics.fmean(float(line[OBJECTIVE]) for line in own):.2f}"]
        for space in SPACES:
            values, errors = ([float(line[key(name, space)]) for line in own] for name in ("kid", "kid_error"))
            cells.append(f"{statistics.fmean(values):.1f} ± {1.96 * math.hypot(*errors) / len(own):.1f}")
        table.append([f"`{system}`", shown, str(len(own)), *cells, f"{statistics.fmean(float(line['coverage']) for line in own):.3f}"])
    return table


def orders(rows: Rows) -> list[list[str]]:
    """Kendall's tau between the orders in which two spaces put all rows."""
    return [[*entry["spaces"], f"{entry['tau']:.2f}", str(entry["rows"])] for entry in agreement(measures()[1], list(SPACES))]


def growth(rows: Rows) -> list[list[str]]:
    """How the kernel distance falls with the number of parameters, and the width of the least one."""
    grown = [row | {"measured": True} for row in rows.values() if row["variant"] and row["variant"]["factor"] is not None]
    systems = {name: row["title"] for (name, _), row in rows.items() if row["main"] and not row["variant"]}
    found = exponents(variant_points(grown, systems), systems, list(SPACES))
    return [[entry["title"], f"{entry['exponent']:.2f}", f"{entry['best']:g} x"] for entry in found]


def readme(rows: Rows) -> list[list[str]]:
    """The systems of the README by the names of their configs, and the sampler that its report had."""
    asked = [*EIGHT.items(), ("vae", "normal")]
    titles = [f"`{system}`{f', {sampler}' if sampler != 'own' else ''}" for system, sampler in asked]
    places = " ".join(f"{system}/{sampler}" for system, sampler in asked)
    return chosen(f"coverage kid recognisable control: {places} real", [*titles, "real images"], rows)


TABLES: dict[str, Callable[[Rows], list[list[str]]]] = {
    "equal": equal,
    "search": search,
    "own_length": own_length,
    "orders": orders,
    "growth": growth,
    "readme": readme,
}

if __name__ == "__main__":
    main()
