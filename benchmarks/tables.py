"""The tables of the pages that say what the study found, from docs/study/results.json.

    python -m benchmarks.tables    # writes those that are outdated, and names the pages

A table follows a line `<!-- table NAME -->`. Its head is written by hand, in any language, and its rows are written by this command. A test
does the same and finds no difference.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lit_models.study.expressions import error_name

Results = dict[str, Any]
Row = dict[str, Any]

ROOT = Path(__file__).parent.parent
STUDY = ROOT / "docs" / "study" / "results.json"
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
DIGITS = {"coverage": 3, "recognisable": 3, "control": 3, "cas": 3, "nearer_to_training": 2, "mse": 4, "nats": 1}
DIGITS |= {"seconds": 0, "teraflops": 0, "sample_seconds": 2}
QUALITY = ("coverage", "kid", "kid_second", "kid_untrained", "cas", "recognisable", "nearer_to_training", "control")
WITHOUT_LABELS = tuple(name for name in QUALITY if name not in ("cas", "control"))
COST = ("seconds", "teraflops", "sample_seconds", "parameters", "mse", "nats")


def main() -> None:
    results = json.loads(STUDY.read_text())
    for page in PAGES:
        text = page.read_text()
        if (found := with_tables(text, results)) != text:
            page.write_text(found)
            print(f"{page.relative_to(ROOT)}: written")


def with_tables(text: str, results: Results) -> str:
    """A page with the rows that its tables have by the results."""
    return TABLE.sub(lambda found: found[1] + "".join(f"| {' | '.join(cells)} |\n" for cells in TABLES[found[2]](results)), text)


def rows_of(results: Results) -> dict[tuple[str, str], Row]:
    """The rows that were measured, by system and sampler."""
    return {(row["system"], row["sampler"]): row for row in results["rows"] if row["values"]}


def cell(name: str, values: dict[str, Any]) -> str:
    """A mean over seeds; a kernel distance with half the width of its interval. Empty if it was not measured."""
    found = values.get(name)
    if found is None or found.get("mean") is None:
        return ""
    if name == "parameters":
        return f"{found['mean'] / 1e6:.2f} M"
    if name.startswith("kid"):
        return f"{found['mean']:.1f} ± {(found['high'] - found['low']) / 2:.1f}"
    return f"{found['mean']:,.{DIGITS[name]}f}"


def real(results: Results, names: tuple[str, ...]) -> list[str]:
    """The row of real images: training images next to test images."""
    values = next(control["values"] for control in results["controls"] if control["real"])
    cells = {name: {"mean": values.get(name), "low": 0.0, "high": 2 * 1.96 * values.get(error_name(name), 0.0)} for name in names}
    return ["real images", *(cell(name, cells) for name in names)]


def titled(row: Row) -> str:
    """The title of a row, with its sampler where it has one of several."""
    sampler = "" if row["sampler"] in ("", "own") else f", {row['sampler'].removeprefix('own, ')}"
    return row["title"] + sampler


def eight(results: Results) -> list[list[str]]:
    """The README's systems at their own length, the VAE's own prior, and real images."""
    found, names = rows_of(results), ("coverage", "kid", "recognisable", "control")
    chosen = [found[place] for place in (*EIGHT.items(), ("vae", "normal"))]
    return [[titled(row), *(cell(name, row["values"]) for name in names)] for row in chosen] + [real(results, names)]


def quality(labelled: bool) -> Callable[[Results], list[list[str]]]:
    """Rows of all systems at their own length, the nearest first."""

    def rows(results: Results) -> list[list[str]]:
        names = QUALITY if labelled else WITHOUT_LABELS
        found = [row for row in rows_of(results).values() if row["labelled"] == labelled and not row["variant"] and "kid" in row["values"]]
        found.sort(key=lambda row: row["values"]["kid"]["mean"])
        return [[titled(row), *(cell(name, row["values"]) for name in names)] for row in found] + [real(results, names)]

    return rows


def cost(results: Results) -> list[list[str]]:
    """What each system costs at its own length, and what its codes keep."""
    found = [row for row in rows_of(results).values() if row["main"] and not row["variant"]]
    return [[row["title"], str(len(row["seeds"])), *(cell(name, row["values"]) for name in COST)] for row in found]


def budgets(results: Results) -> list[list[str]]:
    """Coverage and KID of the equal systems, after each number of seconds."""
    equal = [
        row for row in rows_of(results).values() if row["variant"] and row["variant"]["factor"] is None and not row["variant"]["tuned"]
    ]
    lengths = sorted({row["variant"]["seconds"] for row in equal})
    known = {(row["variant"]["of"], row["sampler"], row["variant"]["seconds"]): row["values"] for row in equal}
    titles = {row["system"]: row["title"] for row in results["rows"]}
    return [
        [titles[system], *(cell(name, known.get((system, sampler, length), {})) for name in ("coverage", "kid") for length in lengths)]
        for system, sampler in EIGHT.items()
    ]


def claims(results: Results) -> list[list[str]]:
    """The claims of the report, and their verdicts."""
    return [[str(claim["number"]), claim["text"], claim["verdict"]] for claim in results["claims"]]


TABLES: dict[str, Callable[[Results], list[list[str]]]] = {
    "eight": eight,
    "labelled": quality(labelled=True),
    "unlabelled": quality(labelled=False),
    "cost": cost,
    "budgets": budgets,
    "claims": claims,
}

if __name__ == "__main__":
    main()
