"""Figures and measures whose verb a model lacks are left out and said; one that fails ends no training."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import moved, tensors
from lightning.pytorch import LightningModule, Trainer
from test_callbacks import FIGURES, digits, trainer_in

from callbacks import CodebookUsage, Figure, Latents, Neighbours, Reconstructions, Samples, reproducible
from callbacks.figures.figure import Drawn
from lit_models import AE, GAN, Classifier

LACKING = {
    "Centroids": "decode",
    "CodebookUsage": "indices, lookup, n_codes",
    "Latents": "encode",
    "LogDensity": "encode",
    "Neighbours": "encode",
    "Reconstructions": "reconstruct",
    "Samples": "classes, sample",
    "Stages": "classes, sample",
    "Traversal": "decode",
}


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_whose_verb_a_model_lacks_is_left_out_and_said(figure: type, tmp_path: Path, capsys) -> None:
    trainer_in(tmp_path, figure()).fit(Classifier(channels=16), datamodule=digits())
    name = figure.__name__
    assert f"not drawn for this model: {name} (Classifier lacks {LACKING[name]})\n" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.png"))


def test_figures_that_lack_the_same_are_said_together(tmp_path: Path, capsys) -> None:
    model = GAN(conditioning="none", generator_channels=16, discriminator_channels=16)
    trainer_in(tmp_path, Latents(), Samples(n=8), Neighbours(), CodebookUsage()).fit(model, datamodule=digits())
    assert (
        capsys.readouterr().out
        == "not drawn for this model: Latents, Neighbours (GAN lacks encode); CodebookUsage (GAN lacks indices, lookup, n_codes)\n"
    )


class Failing(Figure):
    def draw(self, trainer: Trainer, pl_module: LightningModule) -> object:
        raise RuntimeError("no such picture")


def test_a_figure_that_fails_is_said_once_and_ends_no_training(tmp_path: Path, capsys) -> None:
    trainer = trainer_in(tmp_path, Failing(), Reconstructions(n=8), epochs=2)
    trainer.fit(AE(channels=16), datamodule=digits())
    assert trainer.global_step == 4
    assert capsys.readouterr().err.count("warning  Failing is left out: no such picture") == 1
    assert len(list(tmp_path.rglob("*.png"))) == 2


class Counting(Figure):
    """Draws nothing, and counts; at its `signal_at`-th time a signal comes while it draws."""

    def __init__(self, signal_at: int = 0) -> None:
        super().__init__()
        self.times, self.signal_at = 0, signal_at

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        self.times += 1
        if self.times == self.signal_at:
            os.kill(os.getpid(), signal.SIGTERM)
        yield "counted", np.zeros((8, 8, 3), dtype=np.uint8)


def test_a_signal_between_two_figures_ends_the_run_and_a_resumed_run_draws_all_of_them(tmp_path: Path) -> None:
    def run(signal_at: int, folder: Path, ckpt_path: Path | None = None) -> tuple[AE, list[int]]:
        options = reproducible()
        figures = [Counting(signal_at), Counting()]
        quiet = dict(logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
        options["callbacks"] = [*options["callbacks"], *figures]
        trainer = Trainer(accelerator="cpu", max_epochs=3, default_root_dir=folder, **options, **quiet)
        torch.manual_seed(0)
        model = AE(channels=16, lr_steps=20)
        try:
            trainer.fit(model, datamodule=digits(), ckpt_path=ckpt_path)
        finally:
            seen.append([figure.times for figure in figures])
        return model, seen[-1]

    seen: list[list[int]] = []
    whole, times = run(0, tmp_path / "whole")
    assert times == [3, 3]
    with pytest.raises(SystemExit) as stopped:
        run(2, tmp_path / "cut")
    assert stopped.value.code == 143
    assert seen[-1] == [2, 1], "the second figure is not begun"
    (last,) = (tmp_path / "cut").rglob("last.ckpt")
    resumed, times = run(0, tmp_path / "cut", last)
    assert times == [2, 2], "the validation is done again, with all figures"
    assert not moved(tensors(whole), resumed)
