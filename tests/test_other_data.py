"""What `docs/other_data.md` says of Fashion-MNIST and of stacked MNIST is what the committed measurements say."""

import json
from typing import Any

import pytest
from conftest import ROOT, mnist_root, needs_mnist
from pages import row_of

from datamodules import ImageDataModule
from lit_models.evaluation import yardstick_of

PAGE = (ROOT / "docs" / "other_data.md").read_text()
FOUND: dict[str, Any] = json.loads((ROOT / "docs" / "yardstick" / "systems_fashion_mnist.json").read_text())
MODES: dict[str, Any] = json.loads((ROOT / "docs" / "yardstick" / "modes.json").read_text())


def test_the_table_of_fashion_mnist_is_the_committed_measurement() -> None:
    rows = [row_of(name, row["values"], row["labelled"]) for name, row in FOUND["rows"].items()]
    assert [row for row in rows if row not in PAGE] == []
    assert (FOUND["n"], FOUND["split"]) == (10_000, "test")
    assert f"{FOUND['real_recognisable']:.3f}" in PAGE


def test_the_table_of_modes_is_the_committed_measurement() -> None:
    rows = [f"| {name} | {row['modes']:.0f} | {row['modes_kl']:.3f} |" for name, row in MODES.items()]
    assert [row for row in rows if row not in PAGE] == []


@needs_mnist
def test_the_shipped_yardstick_of_fashion_mnist_is_the_one_that_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_ROOT", str(mnist_root()))
    data = ImageDataModule("fashion_mnist").whole()
    yardstick = yardstick_of("fashion_mnist", data, n=2000)
    assert yardstick.sha256 == FOUND["yardstick"]
    assert yardstick.judge is not None
    assert set(yardstick.judge.left_out) == {"mirrored", "mirrored 2, 3, 4, 5, 7"}
    assert 0.9 < yardstick.real_recognisable < 0.96
