"""The studies that are committed under docs/: their plans and measures, of which pages have tables and sentences.

    python -m benchmarks.studies study    # results.json, results.csv and the page, from the measures in docs/study; nothing is trained

The page names the machine that results.json named. It needs the data, because it checks that the measures are those of the yardstick.
"""

import argparse
import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.sources import data_root
from lit_models.evaluation.sample_quality import FIRST
from lit_models.study.columns import SPACES
from lit_models.study.control_rows import control_rows
from lit_models.study.expressions import Measures
from lit_models.study.measuring import measures_of
from lit_models.study.plan import Plan, read_plan
from lit_models.study.results import about, measures_over, read_measures, write_results
from lit_models.study.rows import rows_of
from lit_models.study.speed import with_steps
from lit_models.study.yardsticks import yardsticks_of
from lit_models.training import configs

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted(DOCS.rglob("*.md"))]
STUDY, STUDIES = "study", ("study", "study_fashion")  # folders of docs/, and the names of their plans
Row = dict[str, Any]


class Study(NamedTuple):
    """A study: its folder, its plan with all variants, the measures of each system's seeds, and its rows, by system and sampler.

    `measures` are for expressions; patterns such as `*:*` take systems at their own length alone.
    """

    folder: Path
    plan: Plan
    found: dict[str, list[dict[str, Any]]]
    rows: dict[tuple[str, str], Row]
    measures: Measures

    def real(self) -> dict[str, float | None]:
        """The measures of real images: training images next to test images."""
        values: dict[str, float | None] = json.loads((self.folder / "controls.json").read_text())["rows"][0]["values"]
        return values

    def row_at(self, system: str, sampler: str = "") -> Row:
        """The row of a sampler of a system, `_` for a space in its name; without a sampler its main row."""
        for (name, own), row in self.rows.items():
            if name == system and (own.replace(" ", "_") == sampler if sampler else row["main"]):
                return row
        there = ", ".join(map("/".join, self.rows))
        raise ValueError(f"expected a measured row in {self.folder / 'measures'}\ngot {system}/{sampler}\nthere are {there}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    study, root = study_of(parser.parse_args().study), str(data_root(None)[0])
    measured = {name: system for name, system in study.plan.systems.items() if study.found[name]}
    plan = with_steps(replace(study.plan, systems=measured), [], study.folder, root)
    yardsticks = yardsticks_of(plan, study.folder, root)
    machine = json.loads((study.folder / "results.json").read_text())["study"]["machine"]
    description = about(plan, machine, yardsticks.last, yardsticks.small, yardsticks.recipe)
    print(write_results(study.folder, plan, yardsticks.last, description, control_rows(study.folder, yardsticks.last)))


@functools.cache
def study_of(name: str = STUDY) -> Study:
    """A committed study. Systems that have not been measured have no rows.

    Raises:
        ValueError: If there is no such study.
    """
    if name not in STUDIES:
        raise ValueError(f"expected one of {', '.join(STUDIES)}\ngot the study {name}")
    folder, plan = DOCS / name, read_plan(configs.find(name)).with_variants()
    for system in plan.tuned():
        if (best := folder / "tuning" / system.name / "best.json").is_file():
            plan = plan.with_tuned(system, json.loads(best.read_text())["values"])
    found = {}
    for system in plan.systems.values():
        seeds = [seed for seed in plan.seeds_of(system) if measures_of(folder, system, seed).is_file()]
        found[system.name] = read_measures(folder, system, seeds, plan)
    rows = {(row["system"], row["sampler"]): row for row in rows_of(folder, found, plan, plan.samples, FIRST) if row["values"]}
    return Study(folder, plan, found, rows, measures_over(found, plan, plan.samples, list(SPACES)))


if __name__ == "__main__":
    main()
