"""Figures and measures whose verb a model lacks are left out and said; one that fails ends no training."""

from pathlib import Path

import pytest
from lightning.pytorch import LightningModule, Trainer
from test_callbacks import FIGURES, digits, trainer_in

from callbacks import CodebookUsage, Figure, Latents, Neighbours, Reconstructions, Samples
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
    assert f"left out {name} (Classifier lacks {LACKING[name]})\n" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.png"))


def test_figures_that_lack_the_same_are_said_together(tmp_path: Path, capsys) -> None:
    model = GAN(conditioning="none", generator_channels=16, discriminator_channels=16)
    trainer_in(tmp_path, Latents(), Samples(n=8), Neighbours(), CodebookUsage()).fit(model, datamodule=digits())
    assert (
        capsys.readouterr().out == "left out Latents, Neighbours (GAN lacks encode); CodebookUsage (GAN lacks indices, lookup, n_codes)\n"
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
