"""The tables of pages that say what a study found, from the measures in docs/study and docs/study_fashion.

    python -m benchmarks.tables    # writes those that are outdated, and names the pages

A table follows a line `<!-- table NAME -->`, where NAME is one of `TABLES`, or

    <!-- rows MEASURE ...: SYSTEM/SAMPLER ... -->
    <!-- rows MEASURE ... of study_fashion: SYSTEM/SAMPLER ... -->

The head is written by hand, in any language, and the numbers are written by this command. A system without `/SAMPLER` is its main row, `_`
stands for a space, `real` are real images, and `judged/NAME` is what `lightning judge` wrote into `docs/yardstick/NAME.json`. Titles in
`rows` may be changed by hand, and stay. A test does the same and finds no difference.
"""

import csv
import json
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.own_length import lines
from benchmarks.studies import DOCS, PAGES, ROOT, STUDY, Row, Study, study_of
from lit_models.evaluation.sample_quality import key
from lit_models.study.agreement import agreement
from lit_models.study.columns import COLUMNS, SPACES
from lit_models.study.tuning import OBJECTIVE
from lit_models.study.variant_charts import exponents, grown, variant_points

DIGITS = {column.key: column.digits for column in COLUMNS}
ERRORS = {column.key: column.error for column in COLUMNS}
TABLE = re.compile(r"(<!-- (table|rows) ([^>]+) -->\n(?:\|.*\n){2})((?:\|.*\n)*)")
MARK = re.compile(r"<!--\s*(?:table|rows)\s+\w[^>]*")
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
    for page in PAGES:
        text = page.read_text()
        if (found := with_tables(text)) != text:
            page.write_text(found)
            print(f"{page.relative_to(ROOT)}: written")


def with_tables(text: str) -> str:
    """A page with the rows that its tables have by the measures.

    Raises:
        ValueError: If no table follows a comment, or there is no such row.
    """

    def written(found: re.Match[str]) -> str:
        titles = [line.strip("| ").split(" |")[0] for line in found[4].splitlines()]
        cells = TABLES[found[3]](study_of()) if found[2] == "table" else chosen(found[3], titles)
        return found[1] + "".join(f"| {' | '.join(each)} |\n" for each in cells)

    page, found = TABLE.subn(written, text)
    if found != len(marks := MARK.findall(text)):
        raise ValueError(f"expected the two lines of a head behind each <!-- table or rows -->\ngot {found} tables for {', '.join(marks)}")
    return page


def chosen(asked: str, titles: list[str]) -> list[list[str]]:
    """The rows that a page asks for, with their titles in the page, or else those of the study."""
    asked, _, places = asked.partition(": ")
    measures, _, name = asked.partition(" of ")
    study, names, table = study_of(name or STUDY), measures.split(), []
    for number, place in enumerate(found := places.split()):
        system, _, sampler = place.partition("/")
        if system == "judged":
            cells = judged(sampler, names)
        else:
            cells = real(study, names) if place == "real" else of_row(study.row_at(system, sampler), names)
        table.append([titles[number] if len(titles) == len(found) else cells[0], *cells[1:]])
    return table


def of_row(row: Row, names: Sequence[str]) -> list[str]:
    return [titled(row), *(str(len(row["seeds"])) if name == "seeds" else cell(name, row["values"]) for name in names)]


def cell(name: str, values: Row) -> str:
    """A mean over seeds; a kernel distance and a number of nats with half the width of their intervals. Empty if it was not measured."""
    found = values.get(name)
    if found is None:
        return ""
    if name.startswith("kid") or name == "nats":
        return f"{found['mean']:.1f} ± {(found['high'] - found['low']) / 2:.1f}"
    return f"{found['mean']:,.{DIGITS[name]}f}"


def real(study: Study, names: Sequence[str]) -> list[str]:
    """The row of real images."""
    return measured_once("real images", study.real(), names)


def judged(name: str, names: Sequence[str]) -> list[str]:
    """The row of samples of another program."""
    found = json.loads((DOCS / "yardstick" / f"{name}.json").read_text())
    return measured_once(name, found["measures"], names)


def measured_once(title: str, values: Mapping[str, float | None], names: Sequence[str]) -> list[str]:
    """A row of one set of images, with the interval of its errors."""
    have = {name: value for name in names if (value := values.get(name)) is not None}
    errors = {name: 1.96 * (values.get(ERRORS[name] or "") or 0.0) for name in have}
    cells = {name: {"mean": value, "low": value - errors[name], "high": value + errors[name]} for name, value in have.items()}
    return [title, *(cell(name, cells) for name in names)]


def titled(row: Row) -> str:
    """The title of a row, with its sampler where it has one of several."""
    return row["title"] + (f", {row['sampler']}" if row["sampler"] not in ("", "own") else "")


def equal(study: Study) -> list[list[str]]:
    """Coverage and KID of the systems that are equal, after each number of seconds."""
    variants = [row["variant"] for row in study.rows.values() if row["variant"]]
    lengths = sorted({each["seconds"] for each in variants if each["factor"] is None})
    names, table = ("coverage", "kid", "kid_untrained"), []
    for system, sampler in EIGHT.items():
        found = [study.rows.get((f"{system}_{length:g}s", sampler)) for length in lengths]
        first = next(row for row in found if row is not None)
        cells = [cell(name, row["values"] if row else {}) for name in names for row in found]
        table.append([titled(first).replace(f", {lengths[0]:g} s", "", 1), *cells])
    return [*table, ["real images", *(each for each in real(study, names)[1:] for _ in lengths)]]


def search(study: Study) -> list[list[str]]:
    """The objective with the defaults and with the best values, KID of both next to test images, and how many trials ran to their end."""
    table = []
    for system, sampler in EIGHT.items():
        with (study.folder / "tuning" / system / "trials.csv").open(newline="") as stream:
            trials = list(csv.DictReader(stream))
        default = next(trial for trial in trials if trial["trial"] == "0")
        ended = sum(trial["state"] == "complete" for trial in trials)
        names = [name for name in trials[0] if name not in ("trial", "state", OBJECTIVE)]
        found = {name: float(trials[0][name]) for name in names if float(trials[0][name]) != float(default[name])}
        values = ", ".join(f"`{name}` {value:.0f}" if value.is_integer() else f"`{name}` {value:.2g}" for name, value in found.items())
        objectives = [f"{float(trial[OBJECTIVE]):.2f}" for trial in (default, trials[0])]
        kids = [
            cell("kid", study.row_at(name, sampler)["values"]) for name in (f"{system}_{study.plan.tuning.seconds:g}s", f"{system}_tuned")
        ]
        table.append([f"`{system}`", values, *objectives, *kids, f"{ended} of {len(trials)}"])
    return table


def own_length(study: Study) -> list[list[str]]:
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


def orders(study: Study) -> list[list[str]]:
    """Kendall's tau between the orders in which two spaces put all rows."""
    return [[*entry["spaces"], f"{entry['tau']:.2f}", str(entry["rows"])] for entry in agreement(study.found, list(SPACES))]


def growth(study: Study) -> list[list[str]]:
    """KID at each width, and how log(1 + KID) changes with the logarithm of the number of parameters."""
    widths = grown([row | {"measured": True} for row in study.rows.values() if row["variant"]])
    systems = {name: row["title"] for (name, _), row in study.rows.items() if row["main"] and not row["variant"]}
    slopes = {entry["title"]: entry["exponent"] for entry in exponents(variant_points(widths, systems), systems, list(SPACES))}
    table = []
    for system in EIGHT:
        own = {row["variant"]["factor"]: row for row in widths if row["variant"]["of"] == system}
        if systems[system] in slopes:
            cells = [cell("kid", own[factor]["values"]) if factor in own else "" for factor in study.plan.growth.factors]
            table.append([titled(next(iter(own.values())) | {"title": systems[system]}), *cells, f"{slopes[systems[system]]:.2f}"])
    return table


def readme(study: Study) -> list[list[str]]:
    """The systems of the README after the longest of equal seconds, by the names of their configs, and the sampler that its report had."""
    asked, seconds = [*EIGHT.items(), ("vae", "normal")], max(study.plan.budgets)
    titles = [f"`{system}`{f', {sampler}' if sampler != 'own' else ''}" for system, sampler in asked]
    places = " ".join(f"{system}_{seconds:g}s/{sampler}" for system, sampler in asked)
    return chosen(f"coverage kid recognisable control: {places} real", [*titles, "real images"])


TABLES: dict[str, Callable[[Study], list[list[str]]]] = {
    "equal": equal,
    "search": search,
    "own_length": own_length,
    "orders": orders,
    "growth": growth,
    "readme": readme,
}

if __name__ == "__main__":
    main()
