"""What `docs/other_data.md` says of Fashion-MNIST and of stacked MNIST is what the committed measurements say.

Its tables and sentences about Fashion-MNIST are checked with those of all pages: `test_comparison_page.py`, `test_sentences.py`.
"""

from typing import Any

import pytest
from conftest import mnist_root, needs_mnist
from pages import DOCS, YARDSTICK, read

from benchmarks.sentences import sentences
from benchmarks.studies import study_of
from benchmarks.tables import TABLE
from datamodules import ImageDataModule
from lit_models.evaluation import yardstick_of

PAGE = (DOCS / "other_data.md").read_text()
FOUND: dict[str, Any] = read(DOCS / "study_fashion" / "controls.json")
MODES: dict[str, Any] = read(YARDSTICK / "modes.json")


def test_fashion_mnist_has_four_systems_with_three_seeds_in_tables_and_sentences() -> None:
    shown = {found[3].partition(": ")[2] for found in TABLE.finditer(PAGE) if found[3].partition(":")[0].endswith(" of study_fashion")}
    systems = {place.partition("/")[0] for places in shown for place in places.split()}
    assert systems == {"ae", "vae", "vqvae", "gan_conditional", "real"}
    assert {name: len(seeds) for name, seeds in study_of("study_fashion").found.items()} == dict.fromkeys(systems - {"real"}, 3)
    assert {said.study for said in sentences(PAGE)} == {"study_fashion"}


def test_what_the_page_says_of_the_judge_of_fashion_mnist_was_measured() -> None:
    rows = {row["name"]: row["values"] for row in FOUND["rows"]}
    real, unions, averages = (rows[name]["recognisable"] for name in ("real images", "unions of two digits", "averages of two digits"))
    said = " ".join(PAGE.split())
    assert f"Of the real test images {real:.3f} are recognisable" in said
    assert f"{study_of('study_fashion').real()['control']:.3f} of held-out real images their own class" in said
    assert f"unions of two {100 * unions:.0f} %, averages {100 * averages:.0f} % recognisable" in said


def test_the_table_of_modes_is_the_committed_measurement() -> None:
    rows = [f"| {name} | {row['modes']:.0f} | {row['modes_kl']:.3f} |" for name, row in MODES.items()]
    assert [row for row in rows if row not in PAGE] == []


@needs_mnist
def test_the_shipped_yardstick_of_fashion_mnist_is_the_one_that_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_ROOT", str(mnist_root()))
    data = ImageDataModule("fashion_mnist").whole()
    yardstick = yardstick_of("fashion_mnist", data, n=2000)
    assert FOUND["made_with"] == {"yardstick": yardstick.sha256, "split": "test", "samples": 10_000}
    assert yardstick.judge is not None
    assert set(yardstick.judge.left_out) == {"mirrored", "mirrored 2, 3, 4, 5, 7"}
    assert 0.9 < yardstick.real_recognisable < 0.96
