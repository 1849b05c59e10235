"""Every model works on images of any shape and with any number of classes: the data says them, and the model follows."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from any_images import KINDS as ALL_KINDS
from any_images import write_images
from builders import BUILD
from conftest import MODELS, SMALL
from lightning.pytorch import Trainer

import lit_models
from datamodules import ImageDataModule
from lit_models.contracts import CanDecode, CanEncode, CanReconstruct, CanSample
from lit_models.image_shape import grid_of
from lit_models.sampling.samplers import samplers_of

KINDS = {name: ALL_KINDS[name] for name in ("grey 28", "colour 32", "grey 64", "no labels")}
PHASES = {"vqvae": {"autoencoder_steps": 1, "prior_steps": 1}, "latent_flow": {"lr_steps": 1, "prior_steps": 1}}
PHASES["text_flow"] = PHASES["latent_flow"]
NEED_LABELS = ("anchored", "vae_conditional", "gan_conditional")


@pytest.fixture(scope="module")
def images_of_kind(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("own")

    def made(kind: str) -> Path:
        file = folder / f"{kind.replace(' ', '_')}.npz"
        return file if file.is_file() else write_images(file, *KINDS[kind])

    return made


SOON = (("vae", "colour 32"), ("vqvae", "no labels"))  # in the fast set
LATER = (  # before anything lands; all others are run by hand, for each takes up to a minute
    *(("gan", "colour 32"), ("vae_gan", "colour 32"), ("flow", "colour 32"), ("text_flow", "colour 32"), ("anchored", "colour 32")),
    *(("ae", "no labels"), ("gan", "no labels"), ("latent_flow", "no labels"), ("pixels", "no labels"), ("pca_vae", "no labels")),
)


def _set_of(name: str, kind: str) -> list[pytest.MarkDecorator]:
    if (name, kind) in SOON:
        return []
    return [pytest.mark.reliability if (name, kind) in LATER else pytest.mark.by_hand]


EVERY = [pytest.param(name, kind, marks=_set_of(name, kind)) for name in MODELS for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_made_for_any_images_takes_a_step_and_is_loaded_again(
    name: str, kind: str, images_of_kind: Callable[[str], Path], tmp_path: Path
) -> None:
    binarize = "dynamic" if name == "pixels" else "none"
    (shape, classes), data = KINDS[kind], ImageDataModule(str(images_of_kind(kind)), batch_size=50, limit=100, binarize=binarize)
    made = {"image_shape": shape, "classes": classes}
    if classes is None and name in NEED_LABELS:
        with pytest.raises(ValueError, match="label"):
            BUILD[name](**made)
        return
    model = BUILD[name](**made, **PHASES.get(name, {}))
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    trainer = Trainer(accelerator="cpu", max_epochs=1, limit_train_batches=2, limit_val_batches=1, default_root_dir=tmp_path, **quiet)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    again = lit_models.load(tmp_path / "model.ckpt")
    assert (again.image_shape, again.hparams["classes"]) == (shape, classes)
    drawn = [each.eval().sample(4, generator=torch.Generator().manual_seed(0)) for each in (model, again)]
    torch.testing.assert_close(*drawn)
    check_verbs(again, shape, classes)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_model_trains_on_any_images_from_the_command_line(
    name: str, kind: str, images_of_kind: Callable[[str], Path], lightning: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    file, (shape, classes) = images_of_kind(kind), KINDS[kind]
    words = ["--data", file, "--data.epoch_images=null", "--data.batch_size=50", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    if name == "vqvae":
        words += ["--model.autoencoder_steps=2", "--model.prior_steps=2"]
    status = lightning("fit", "--config", name, *SMALL[name], *words, "--trainer.limit_train_batches=4", "--trainer.limit_val_batches=1")
    said = capsys.readouterr()
    if classes is None and name in NEED_LABELS:
        assert status == 2
        assert len(said.err.strip().splitlines()) <= 3
        assert "label" in said.err
        assert not Path("logs").exists()
        return
    assert status == 0, said.err
    assert "warning" not in said.err, said.err
    (run,) = Path("logs").glob(f"*/{file.stem}/version_0")
    model = lit_models.load(run)
    assert (model.image_shape, model.hparams["classes"]) == (shape, classes)
    check_verbs(model, shape, classes)
    pictures = {str(each.parent.relative_to(run / "figures")) for each in (run / "figures").rglob("*.png")}
    expected = {"samples/grid"} | ({"reconstructions"} if isinstance(model, CanReconstruct) else set())
    assert expected <= pictures
    assert any(each.startswith("centroids") for each in pictures) == (
        isinstance(model, CanDecode) and (isinstance(model, CanEncode) or name == "anchored") and classes is not None
    )
    assert lightning("sample", run, "--num", 8, "--output", "samples.npz") == 0
    channels, side, _ = shape
    assert np.load("samples.npz")["images"].shape == ((8, side, side) if channels == 1 else (8, side, side, 3))
    capsys.readouterr()
    assert lightning("test", run, "--samples", 100) == 0
    measured = capsys.readouterr()
    assert "n/a" not in measured.err
    assert "val/kid_untrained" in measured.out


def check_verbs(model: torch.nn.Module, shape: tuple[int, int, int], classes: int | None) -> None:
    images = torch.rand(3, *shape)
    with torch.no_grad():
        if isinstance(model, CanReconstruct):
            assert model.reconstruct(images).shape == images.shape
            torch.testing.assert_close(model.decode(model.encode(images)), model.reconstruct(images))
    assert isinstance(model, CanSample)
    for sampler, labels in samplers_of(model).items():
        options = {} if sampler == "own" else {"sampler": sampler}
        drawn = model.sample(4, generator=torch.Generator().manual_seed(0), **options)
        assert drawn.shape == (4, *shape)
        assert 0 <= drawn.min() <= drawn.max() <= 1
        assert labels in (None, classes)
        if labels is not None:
            assert model.sample(2, labels - 1, **options).shape == (2, *shape)
            with pytest.raises(ValueError, match=f"0 to {labels - 1}"):
                model.sample(1, labels, **options)


@pytest.mark.parametrize(
    ("side", "grid", "halvings"), [(14, 7, 1), (16, 8, 1), (28, 7, 2), (32, 8, 2), (64, 8, 3), (112, 7, 4), (128, 8, 4)]
)
def test_features_live_on_a_grid_of_7_or_8(side: int, grid: int, halvings: int) -> None:
    assert grid_of((1, side, side)) == (grid, halvings)
    assert side == grid * 2**halvings


@pytest.mark.parametrize("shape", [(1, 30, 30), (2, 28, 28), (1, 28, 32), (28, 28), (1, 7, 7), (1, 256, 256)])
def test_a_shape_that_networks_cannot_take_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected images of shape"):
        lit_models.VAE(image_shape=shape)


def test_a_value_that_differs_from_the_data_is_an_error_before_the_first_step(
    images_of_kind: Callable[[str], Path], lightning: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", images_of_kind("colour 32"), "--trainer.accelerator=cpu"]
    for word, found in (("--model.image_shape=[1,28,28]", "(3, 32, 32)"), ("--model.init_args.classes=4", "10")):
        assert lightning("fit", "--config", "vae", *data, word) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 3
        assert found in said[0]
        assert not Path("logs").exists()


def test_a_value_that_agrees_is_no_error_and_the_config_records_it(
    images_of_kind: Callable[[str], Path], lightning: Callable[..., int]
) -> None:
    words = ["--data.epoch_images=null", "--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--trainer.accelerator=cpu"]
    data = ["--data", images_of_kind("colour 32"), "--model.classes=10", *words]
    assert lightning("fit", "--config", "vae", *SMALL["vae"], *data) == 0
    (config,) = Path("logs").rglob("config.yaml")
    text = config.read_text()
    assert "classes: 10" in text
    assert re.search(r"image_shape:\n +- 3\n +- 32\n +- 32\n", text)
    assert lightning("fit", "--config", config, "--trainer.max_steps=1") == 0  # the recorded config is a whole one


def test_the_scale_of_the_commitment_follows_the_data(images_of_kind: Callable[[str], Path]) -> None:
    """MNIST's variance gives the constant that the paper's objective has for MNIST; other data have their own."""
    data = ImageDataModule(str(images_of_kind("colour 32")))
    train, _ = data.images("train")
    test, _ = data.images("test")
    everything = torch.cat([train, data.images("val")[0]])
    assert data.pixel_variance == pytest.approx(float(everything.double().var(correction=0)), abs=5e-5)
    assert len(test)
    assert ImageDataModule("mnist").pixel_variance == 0.0949
