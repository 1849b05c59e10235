"""The studies in docs/study and docs/study_fashion are whole."""

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from pages import DOCS, read

from benchmarks.studies import STUDIES, study_of
from lit_models.evaluation.judge import SHIPPED
from lit_models.study.plan import read_plan
from lit_models.training.configs import find

ABSOLUTE = re.compile(r"(?<![\w.:/<])/(?:[\w.-]+/)+[\w.-]+")


@pytest.fixture(scope="module", params=STUDIES)
def study(request: pytest.FixtureRequest) -> Path:
    """The folder of each committed study; its name is that of its plan."""
    return DOCS / str(request.param)


@pytest.fixture(scope="module")
def results(study: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(study / "results.json")
    return found


def test_every_system_is_measured_and_every_claim_decided(study: Path, results: dict[str, Any]) -> None:
    plan = read_plan(find(study.name))
    rows = [row for row in results["rows"] if row["values"] and not row["error"]]
    seeds = {row["system"]: len(row["seeds"]) for row in rows if row["main"]}
    assert {name: seeds.get(name) for name in plan.systems} == {name: len(plan.seeds_of(system)) for name, system in plan.systems.items()}
    claims = {claim["number"]: claim for claim in results["claims"]}
    assert {number: claim["text"] for number, claim in claims.items()} == {claim.number: claim.text for claim in plan.claims}
    assert Counter(claim["verdict"] for claim in claims.values())["not decided"] == 0
    assert results["study"]["samples"] == 10_000
    assert results["study"]["judge"]["sha256"] == hashlib.sha256((SHIPPED / f"{plan.dataset}.pt").read_bytes()).hexdigest()


def test_the_results_are_those_of_the_committed_measures(study: Path, results: dict[str, Any]) -> None:
    found = {(row["system"], row["sampler"]): row["values"] for row in results["rows"] if row["values"]}
    assert found == {place: row["values"] for place, row in study_of(study.name).rows.items()}, f"python -m benchmarks.studies {study.name}"


def test_the_measures_are_those_of_one_yardstick(study: Path, results: dict[str, Any]) -> None:
    measures = [read(file) for file in sorted((study / "measures").glob("*.json"))]
    assert {found["yardstick"] for found in measures} == {results["study"]["yardstick"]["sha256"]}


def test_the_page_is_small_and_asks_nothing_of_a_network(study: Path, results: dict[str, Any]) -> None:
    page = (study / "index.html").read_text()
    assert sum(file.stat().st_size for file in (study / "pictures").iterdir()) < 6_000_000
    assert len(page) < 10_000_000
    assert not re.search(r"[{]&#39;|[{]'", page.partition("<script")[0]), "no Python dictionary"
    assert not re.search(r"(src|href)=[\"']?https?:", page)
    with (study / "results.csv").open(newline="") as stream:
        assert {row["system"] for row in csv.DictReader(stream)} >= {row["system"] for row in results["rows"]}


def test_each_picture_is_in_the_results(study: Path, results: dict[str, Any]) -> None:
    assert {Path(picture["file"]).name for picture in results["pictures"]} == {file.name for file in (study / "pictures").iterdir()}


def test_no_result_names_a_path_of_the_machine_that_made_it() -> None:
    files = [file for kind in ("json", "csv", "yaml") for file in DOCS.rglob(f"*.{kind}")]
    assert len(files) > 50
    assert {str(file.relative_to(ROOT)): found for file in files if (found := ABSOLUTE.findall(file.read_text()))} == {}
