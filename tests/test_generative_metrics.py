"""Measures while a model learns, and snapshots of it: they say what is so and leave training alone."""

from pathlib import Path

import pytest
import torch
from builders import tensors
from conftest import assert_equal, mnist_root, needs_mnist
from lightning.pytorch import Trainer

from callbacks import GenerativeMetrics, KeepTrainingCodes, SeedEachStep, Snapshots
from callbacks.generative_metrics import LOGGED
from datamodules import ImageDataModule
from lit_models.evaluation import KernelDistance
from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.features import spaces_of
from lit_models.gan import GAN
from lit_models.vae import VAE


def trainer_in(folder: Path, *callbacks: object, epochs: int = 1) -> Trainer:
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    return Trainer(accelerator="cpu", max_epochs=epochs, default_root_dir=folder, callbacks=list(callbacks), **quiet)


def mnist() -> ImageDataModule:
    return ImageDataModule("mnist", root=str(mnist_root()), limit=256, batch_size=64)


@needs_mnist
def test_a_judge_looks_on_and_the_model_neither_learns_nor_keeps_anything_of_it(tmp_path: Path) -> None:
    """Weights, buffers and checkpoint with and without it are equal bit for bit."""
    kept = []
    for more in ([], [GenerativeMetrics(n=200)]):
        torch.manual_seed(0)
        model = VAE(channels=16)
        trainer = trainer_in(tmp_path, SeedEachStep(), KeepTrainingCodes(), *more, epochs=2)
        trainer.fit(model, datamodule=mnist())
        trainer.save_checkpoint(tmp_path / "m.ckpt")
        kept.append((tensors(model), torch.load(tmp_path / "m.ckpt", weights_only=True)["state_dict"].keys()))
    assert_equal(kept[0][0], kept[1][0])
    assert kept[0][1] == kept[1][1]
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert {f"val/{name}" for name in LOGGED if name != "control"} <= logged.keys()
    assert logged["val/recognisable"] < 0.3, "after eight batches no digits are drawn yet"
    assert "val/control" not in logged, "no digit was asked for"


def test_a_data_set_without_a_judge_is_measured_in_the_untrained_space_and_is_told_so(tmp_path: Path, capsys) -> None:
    trainer = trainer_in(tmp_path, GenerativeMetrics(n=100))
    model = GAN(conditioning="projection", clusters=1, generator_channels=16, discriminator_channels=16)
    trainer.fit(model, datamodule=ImageDataModule("digits", limit=200))
    assert "judge    none for digits: distances are measured in the untrained space" in capsys.readouterr().out
    assert not {"val/recognisable", "val/kid"} & trainer.callback_metrics.keys()
    images = trainer.datamodule.reference_images("val", 100)[0]
    samples = model.eval().sample(100, torch.arange(100) % 10, torch.Generator().manual_seed(0))
    expected, spaces = KernelDistance(), spaces_of("digits", images)
    for given, real in ((images, True), (samples, False)):
        expected.update(spaces(given)["untrained"], real)
    assert float(trainer.callback_metrics["val/kid_untrained"]) == pytest.approx(1000 * float(expected.compute()["kid"]), rel=1e-4)


def test_no_measure_of_samples_selects_a_model_so_that_a_gan_keeps_its_last(fit, tmp_path: Path) -> None:
    fit("gan", "--trainer.max_epochs=3")
    checkpoints = tmp_path / "logs" / "gan" / "digits" / "version_0" / "checkpoints"
    best, last = (torch.load(checkpoints / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["epoch"] == last["epoch"] == 2
    assert_equal(best["state_dict"], last["state_dict"])


def test_what_draws_no_samples_is_left_out_and_said(tmp_path: Path, capsys) -> None:
    trainer_in(tmp_path, GenerativeMetrics()).fit(Classifier(channels=16), datamodule=ImageDataModule("digits", limit=128))
    assert "not drawn for this model: GenerativeMetrics (Classifier lacks classes, sample)" in capsys.readouterr().out
    with pytest.raises(ValueError, match="n expected at least 100 samples"):
        GenerativeMetrics(n=5)


def test_snapshots_are_taken_at_their_images_and_count_on_after_a_resume(tmp_path: Path) -> None:
    data = dict(limit=128, batch_size=32)
    trainer = trainer_in(tmp_path, KeepTrainingCodes(), Snapshots([40, 128, 200]), epochs=1)
    trainer.fit(VAE(channels=16), datamodule=ImageDataModule("digits", **data))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = trainer_in(tmp_path, KeepTrainingCodes(), Snapshots([40, 128, 200]), epochs=2)
    resumed.fit(VAE(channels=16), datamodule=ImageDataModule("digits", **data), ckpt_path=tmp_path / "last.ckpt")
    found = {}
    for file in sorted((tmp_path / "snapshots").glob("*.ckpt")):
        saved = torch.load(file, weights_only=True)
        found[file.stem] = saved["trained"]
        assert len(saved["state_dict"]["training_codes._extra_state"]["codes"]) == 128
    assert {name: trained["images"] for name, trained in found.items()} == {
        "images_00000040": 64, "images_00000128": 128, "images_00000200": 224,
    }  # fmt: skip
    seconds = [trained["seconds"] for trained in found.values()]
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    with pytest.raises(ValueError, match="at_images expected numbers of images of at least 1"):
        Snapshots([0])
