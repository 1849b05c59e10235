"""The tables of the comparison, and what other pages repeat of them, are the committed measurements."""

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import mnist_root, needs_mnist
from pages import DOCS, SYSTEMS, read, row_of

from benchmarks.tables import PAGES, measured, with_tables
from datamodules import ImageDataModule
from lit_models.evaluation import yardstick_of

COMPARISON, REPORT = (DOCS / "comparison.md").read_text(), (DOCS / "report.md").read_text()
RESULTS = DOCS / "study" / "results.json"
SHOWN = (("recognisable", 3), ("spread", 2), ("control", 3), ("mse", 4), ("seconds", 0))  # what stands of the older study


def test_the_tables_of_the_new_study_are_the_committed_measures() -> None:
    rows = measured()
    assert [page.name for page in PAGES if with_tables(page.read_text(), rows) != page.read_text()] == [], "python -m benchmarks.tables"
    assert "<!-- table equal -->" in COMPARISON


def test_what_is_said_of_equal_seconds_follows_from_the_measures() -> None:
    rows = {place: row for place, row in measured().items() if row["labelled"]}
    spaces = ("kid", "kid_second", "kid_untrained")
    best = {name: {place for place, row in rows.items() if name in row["best"]} for name in spaces}
    assert all(("ae_60s", "class_gmm") in best[name] for name in spaces)
    told_apart = {system for system, _ in rows if system.endswith("_120s")} - {system for system, _ in best["kid"]}
    assert told_apart == {"vae_120s", "vae_conditional_120s", "vqvae_120s", "flow_120s"}
    assert {system for system, _ in best["kid_untrained"] if system.endswith("_120s")} == {"vae_gan_120s"}
    kid = {place: row["values"]["kid"]["mean"] for place, row in rows.items()}
    assert max((place for place in kid if place[0].endswith("_60s")), key=kid.__getitem__) == ("flow_60s", "own")
    assert (round(kid["flow_60s", "own"]), round(kid["flow_120s", "own"])) == (153, 20)


def rows_of_the_study(results: dict[str, Any]) -> list[str]:
    """The main row of each system, and what real images have."""
    rows = [
        (row["title"], row["sampler"], {key: cell["mean"] for key, cell in row["values"].items()}) for row in results["rows"] if row["main"]
    ]
    rows.append(("real training images", "", results["controls"][0]["values"]))
    shown = []
    for title, sampler, values in rows:
        cells = [f"{values[key]:.{digits}f}" if values.get(key) is not None else "" for key, digits in SHOWN]
        shown.append(f"| {title}{f', {sampler}' if sampler not in ('', 'own') else ''} | {' | '.join(cells)} |")
    return shown


def test_the_table_of_the_study_is_the_committed_study() -> None:
    results = read(RESULTS)
    assert [row for row in rows_of_the_study(results) if row not in COMPARISON] == []
    said = Counter(claim["verdict"] for claim in results["claims"])
    assert f"{said['holds']} hold, {said['does not hold']} do not, {said['depends']} depend" in " ".join(REPORT.split())


def test_the_tables_of_systems_are_the_committed_measurement() -> None:
    """Rows with and without labels stand in tables of their own; the yardstick is the one of this version."""
    found = read(SYSTEMS)
    rows = found["rows"]
    expected = [row_of(name, rows[name]["values"], rows[name]["labelled"]) for name in rows if f"| {name} | " in COMPARISON]
    assert len(expected) >= 12
    assert [row for row in expected if row not in COMPARISON] == []
    labelled, unlabelled = COMPARISON.split("These do not:")
    for name in rows:
        if f"| {name} | " in COMPARISON and name != "real images":
            assert (f"| {name} | " in labelled) == rows[name]["labelled"]
            assert (f"| {name} | " in unlabelled) != rows[name]["labelled"]
    assert f"{found['tau']['kid and kid_second, best 15']:.2f}" in COMPARISON
    assert f"{found['real_recognisable']:.3f}" in COMPARISON
    assert found["n"] == 10_000
    assert found["split"] == "test"


def test_the_table_of_peers_is_what_the_command_wrote() -> None:
    """`lightning judge` wrote the rows of the peers; ours are those of the table of systems."""
    ours = read(SYSTEMS)
    rows = {"our conditional GAN": "gan_conditional, own, temperature 0.95", "our VAE, sampler normal": "vae, normal"}
    measures = {name: ours["rows"][row]["values"] for name, row in rows.items()}
    for peer, name in (("pythae_vae", "pythae's VAE"), ("cgan", "PyTorch-GAN's conditional GAN")):
        found = read(SYSTEMS.with_name(f"{peer}.json"))
        assert (found["yardstick"], found["n"], found["split"]) == (ours["yardstick"], ours["n"], ours["split"])
        measures[name] = found["measures"]
    without = {"cas": math.nan, "control": math.nan}
    assert [name for name, values in measures.items() if row_of(name, without | values, True).replace("nan", "") not in COMPARISON] == []


@needs_mnist
def test_the_committed_measurements_are_of_the_yardstick_that_is_shipped() -> None:
    yardstick = yardstick_of("mnist", ImageDataModule("mnist", root=str(mnist_root())).whole(), 100)
    for name in ("systems", "controls"):
        assert read(SYSTEMS.with_name(f"{name}.json"))["yardstick"] == yardstick.sha256


PAGES_OF_MODELS = [page for page in sorted((DOCS / "models").glob("*.md")) if page.name != "index.md"]


@pytest.mark.parametrize("page", PAGES_OF_MODELS, ids=lambda page: page.stem)
def test_the_numbers_of_a_models_page_are_those_of_the_comparison(page: Path) -> None:
    (reached,) = re.findall(r"^## What (?:it|they) reach.*?(?=^## )", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    sources = [COMPARISON, REPORT, *((DOCS / name).read_text() for name in ("guides/sampling.md", "models/index.md", "measures.md"))]
    known = set(re.findall(r"-?\d+\.\d+|\d+ %", "\n".join(sources)))
    rows = [line for line in reached.splitlines() if line.startswith("|")]
    numbers = re.findall(r"-?\d+\.\d+|\d+ %", "\n".join(rows))
    assert len(numbers) >= 4
    assert [number for number in numbers if number not in known] == []
