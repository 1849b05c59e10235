"""Threads that wait for each other leave their core to others, unless the user forbids it, and none computes with subnormal numbers."""

import os
from pathlib import Path

import pytest
from conftest import run_process

from lit_models.command.threads import TIMES, wait_briefly


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, TIMES), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "PASSIVE"}, None)],
)
def test_a_limit_is_set_unless_the_user_has_set_one(given: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == expected


UNDERFLOW = """
from pathlib import Path

import torch
from lightning.pytorch import Callback


class Underflow(Callback):
    def on_train_batch_end(self, trainer, pl_module, *_):
        torch.set_num_threads(2)
        products = torch.full((1_000_000,), 1e-30) * 1e-10
        Path("found.txt").write_text(str(int((products != 0).sum())))
"""


def test_products_too_small_for_a_float_are_zero_in_every_thread_of_a_training(tmp_path: Path) -> None:
    """Subnormal numbers take a processor a hundred times as long: activations of a flow had enough of them for steps of half a second."""
    (tmp_path / "underflow.py").write_text(UNDERFLOW)
    words = [
        "--config",
        "ae",
        "--config",
        "fast",
        "--data",
        "digits",
        "--trainer.max_steps=2",
        "--trainer.callbacks+=underflow.Underflow",
        "--import",
        "underflow",
    ]
    assert run_process("fit", *words, cwd=tmp_path).returncode == 0
    assert (tmp_path / "found.txt").read_text() == "0"
