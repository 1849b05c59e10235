"""R14: numbers that are no longer finite stop a run and are never saved. A collapse gives one warning."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import DATA

from lit_models.checkpoints.atomic_io import read_checkpoint


@pytest.fixture
def spoiler(tmp_path: Path) -> Callable[..., list[str]]:
    (tmp_path / "spoiler.py").write_text(
        textwrap.dedent("""
            from lightning.pytorch import Callback

            class Spoil(Callback):
                def __init__(self, step: int, what: str):
                    self.step, self.what = step, what

                def on_before_optimizer_step(self, trainer, pl_module, optimizer):
                    if self.what == "gradient" and trainer.global_step == self.step:
                        next(pl_module.parameters()).grad[0] = float("nan")
                    if self.what == "codebook" and trainer.global_step == self.step:
                        pl_module.quantiser.codebook[3] = float("inf")
        """)
    )

    def words(step: int, what: str) -> list[str]:
        return ["--trainer.callbacks+=spoiler.Spoil", f"--trainer.callbacks.step={step}", f"--trainer.callbacks.what={what}"]

    return words


def finite(file: Path) -> bool:
    saved = read_checkpoint(file)
    tensors = [value for value in saved["state_dict"].values() if torch.is_tensor(value) and value.is_floating_point()]
    tensors += [
        value
        for optimizer in saved["optimizer_states"]
        for state in optimizer["state"].values()
        for value in state.values()
        if torch.is_tensor(value)
    ]
    return all(bool(value.isfinite().all()) for value in tensors)


@pytest.mark.parametrize(
    ("model", "what", "said"),
    [
        ("ae", "loss", "loss term"),
        ("gan", "loss", ""),
        ("vae", "gradient", ""),
        ("vqvae", "codebook", "buffer quantiser.codebook is inf"),
    ],
)
def test_r14_numbers_that_are_no_longer_finite_stop_the_run_and_are_not_saved(
    model: str, what: str, said: str, fit, spoiler, tmp_path: Path, capsys
) -> None:
    words = ["--model.init_args.lr=1e32"] if what == "loss" else spoiler(6, what)
    words += ["--model.init_args.autoencoder_steps=100"] if model == "vqvae" else []
    assert fit(model, "--trainer.max_epochs=5", "--trainer.log_every_n_steps=1", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "nan" in error or "inf" in error
    assert "with learning rate" in error
    step = int(error.split(" at step ")[1].split(",")[0])
    assert step <= (10 if what == "loss" else 16)
    run = tmp_path / "logs" / model / DATA / "version_0"
    assert all(finite(file) for file in (run / "checkpoints").iterdir())
    logged = run / "metrics.csv"
    assert not logged.is_file() or "nan" not in logged.read_text()


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("vae", ["--model.init_args.beta=1000"], "the posterior has collapsed"),
        ("vqvae", ["--model.init_args.n_codes=4096", "--model.init_args.autoencoder_steps=100"], "the codebook has collapsed"),
        ("gan", ["--model.init_args.lr=1e-8"], "the generator has collapsed"),
    ],
)
def test_r14_a_collapse_gives_one_warning(model: str, words: list[str], said: str, fit, tmp_path: Path, capsys) -> None:
    early = ["--trainer.callbacks+=callbacks.WarnOfCollapse", "--trainer.callbacks.after_steps=60", "--trainer.max_epochs=20"]
    if model == "vqvae":  # twenty images of sixteen positions cannot use a tenth of 4,096 codes
        early[1:] = ["--trainer.callbacks.after_steps=4", "--trainer.max_epochs=6", "--data.init_args.limit=20"]
        early += ["--trainer.callbacks+=callbacks.CodebookUsage"]
    assert fit(model, *early, *words) == 0
    error = capsys.readouterr().err
    assert error.count(said) == 1
    assert "--model." in error
    assert fit(model, *early) == 0
    assert "collapsed" not in capsys.readouterr().err
