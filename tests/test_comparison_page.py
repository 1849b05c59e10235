"""The tables of the comparison, and what other pages repeat of them, are the committed measurements."""

import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import mnist_root, needs_mnist
from pages import DOCS, YARDSTICK, read

from benchmarks.own_length import lines
from benchmarks.sentences import sentences
from benchmarks.studies import PAGES
from benchmarks.tables import TABLE, with_tables
from datamodules import ImageDataModule
from lit_models.evaluation import yardstick_of
from lit_models.study.tuning import OBJECTIVE

COMPARISON, REPORT = (DOCS / "comparison.md").read_text(), (DOCS / "report.md").read_text()
STUDY = DOCS / "study"
RESULTS = STUDY / "results.json"
NUMBER = re.compile(r"-?\d+\.\d+|\d+ %")


def test_the_tables_of_the_new_study_are_the_committed_measures() -> None:
    assert [page.name for page in PAGES if with_tables(page.read_text()) != page.read_text()] == [], "python -m benchmarks.tables"
    assert "<!-- table equal -->" in COMPARISON


@pytest.mark.parametrize("between", ["", "\n\n", "\nKID falls.\n"])
def test_a_comment_without_its_table_is_an_error(between: str) -> None:
    """Else nobody would see that a table is no longer written."""
    with pytest.raises(ValueError, match="expected the two lines of a head behind each"):
        with_tables(f"<!-- rows kid: ae -->{between}| system | KID |\n|---|---|\n")


def test_the_verdicts_that_the_report_counts_are_those_of_the_study() -> None:
    said = Counter(claim["verdict"] for claim in read(RESULTS)["claims"])
    assert f"{said['holds']} hold, {said['does not hold']} does not, {said['depends']} depend" in " ".join(REPORT.split())


def test_ten_sentences_say_what_was_found() -> None:
    found = COMPARISON.partition("## What was found")[2].partition("\n## ")[0]
    points = re.split(r"\n(?=\d+\. )", found)[1:]
    assert len(points) == 10
    assert [point for point in points if not list(sentences(point))] == []
    real = next(row["values"]["recognisable"] for row in read(STUDY / "controls.json")["rows"] if row["name"] == "real images")
    assert f"A share of {real:.3f} of the test images are recognisable" in COMPARISON


def test_the_settings_that_were_found_were_better_at_their_own_length_for_one_system() -> None:
    """The conditional VAE, whose defaults are those now. The names of the others stand in the page."""
    found: dict[str, dict[str, float]] = {}
    for line in lines():
        found.setdefault(line["system"], {}).setdefault(line["options"], 0.0)
        found[line["system"]][line["options"]] += float(line[OBJECTIVE])
    kept = {name for name, values in found.items() if "" in values and min(values, key=values.__getitem__) == ""}
    assert kept == {"vqvae", "gan_conditional", "flow"}
    assert min(found["vae_conditional"], key=found["vae_conditional"].__getitem__) == "--model.lr=0.004964 --data.batch_size=64"


def test_the_samples_of_peers_were_judged_as_ours_are() -> None:
    for peer in ("pythae_vae", "cgan"):
        found = read(YARDSTICK / f"{peer}.json")
        made = read(STUDY / "controls.json")["made_with"]
        assert (found["yardstick"], found["n"], found["split"]) == (made["yardstick"], made["samples"], made["split"])


@needs_mnist
def test_the_committed_measurements_are_of_the_yardstick_that_is_shipped() -> None:
    yardstick = yardstick_of("mnist", ImageDataModule("mnist", root=str(mnist_root())).whole(), 100)
    assert read(YARDSTICK / "controls.json")["yardstick"] == yardstick.sha256
    assert read(STUDY / "controls.json")["made_with"]["yardstick"] == yardstick.sha256
    assert {read(file)["yardstick"] for file in (STUDY / "measures").iterdir()} == {yardstick.sha256}


PAGES_OF_MODELS = [page for page in sorted((DOCS / "models").glob("*.md")) if page.name != "index.md"]


@pytest.mark.parametrize("page", PAGES_OF_MODELS, ids=lambda page: page.stem)
def test_the_numbers_of_a_models_page_are_those_of_the_comparison(page: Path) -> None:
    (reached,) = re.findall(r"^## What (?:it|they) reach.*?(?=^## )", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    sources = [COMPARISON, REPORT, *((DOCS / name).read_text() for name in ("guides/sampling.md", "models/index.md", "measures.md"))]
    known = set(NUMBER.findall("\n".join(sources)))
    by_hand = TABLE.sub("", reached)  # the others are written from the measures
    numbers = [number for line in by_hand.splitlines() if line.startswith("|") for number in NUMBER.findall(line)]
    assert len(NUMBER.findall(reached)) >= 4
    assert [number for number in numbers if number not in known] == []
