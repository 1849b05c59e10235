"""A plain Trainer and plain loaders train every model, as in a notebook."""

from pathlib import Path

import pytest
import torch
from builders import BUILD, tensors
from conftest import MODELS, assert_equal
from lightning.pytorch import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, TensorDataset

from callbacks import Reconstructions, Samples
from lit_models import AE, VAE
from lit_models.contracts import HasSamplers

OFF = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
QUIET = {"accelerator": "cpu", "num_sanity_val_steps": 0} | dict.fromkeys(OFF, False)
NEED_LABELS = ("vae_conditional", "vqvae", "gan_conditional", "anchored", "latent_flow", "flow", "text_flow", "pixels")


def digits(n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    bunch = load_digits()
    images = interpolate(torch.from_numpy(bunch.images[:n]).float()[:, None] / 16, size=(28, 28), mode="nearest")
    return images, torch.from_numpy(bunch.target[:n]).long()


def digits_for(name: str, n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits as the model takes them: binary ones for `pixels`."""
    images, labels = digits(n)
    return (images.round() if name == "pixels" else images), labels


def fit(model: LightningModule, loader: object, folder: Path, val: object = None, **options: object) -> LightningModule:
    Trainer(default_root_dir=folder, **QUIET | {"max_epochs": 1} | options).fit(model, loader, val)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_a_plain_trainer_and_a_plain_loader_train_every_model_and_every_sampler_works(name: str, tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*digits_for(name)), batch_size=50, shuffle=True)
    model = fit(BUILD[name](), loader, tmp_path)
    assert model.global_step == 6
    assert model.sample(4).shape == (4, 1, 28, 28)
    for sampler, classes in model.samplers.items() if isinstance(model, HasSamplers) else ():
        assert model.sample(3, 7 if classes else None, sampler=sampler).shape == (3, 1, 28, 28)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NEED_LABELS])
def test_a_model_without_labels_trains_on_images_alone(name: str, tmp_path: Path) -> None:
    images = digits(200)[0]
    model = fit(BUILD[name](), DataLoader(images, batch_size=50), tmp_path, DataLoader(images[:50], batch_size=50))
    assert model.sample(4).shape == (4, 1, 28, 28)
    if isinstance(model, HasSamplers):
        assert model.sample(4, sampler="gmm").shape == (4, 1, 28, 28)
        with pytest.raises(ValueError, match="class_gmm expected codes of labelled images"):
            model.sample(4, sampler="class_gmm")


@pytest.mark.parametrize("name", NEED_LABELS)
def test_a_model_that_needs_labels_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected batches of \(image, label\), got images alone"):
        fit(BUILD[name](), DataLoader(digits(100)[0], batch_size=50), tmp_path)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.rand(60, 1, 32, 32), r"expected images \(B, 1, 28, 28\), got \(50, 1, 32, 32\)"),
        (torch.rand(60, 28, 28), r"expected images \(B, 1, 28, 28\), got \(50, 28, 28\)"),
        (torch.rand(60, 1, 28, 28) * 255, r"expected pixels in \[0, 1\], got .* to 25.*divide by 255"),
        (torch.rand(60, 1, 28, 28) * 2 - 1, r"expected pixels in \[0, 1\], got -"),
        (torch.zeros(60, 1, 28, 28, dtype=torch.uint8), "expected floating-point pixels"),
    ],
    ids=["32 x 32", "no channel", "bytes as floats", "normalised", "bytes"],
)
def test_images_that_do_not_fit_are_named(images: torch.Tensor, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        fit(AE(channels=16), DataLoader(images, batch_size=50), tmp_path)


def test_labels_that_a_model_does_not_take_are_named_before_the_first_step(tmp_path: Path) -> None:
    images, labels = digits(100)
    with pytest.raises(ValueError, match="expected labels 0 to 9, got 0 to 19"):
        fit(BUILD["vqvae"](), DataLoader(TensorDataset(images, labels + 10 * (labels > 4)), batch_size=100), tmp_path)


def test_codes_of_the_plain_loaders_images_are_those_of_the_trained_encoder(tmp_path: Path) -> None:
    images, labels = digits(120)
    model = fit(AE(channels=16), DataLoader(TensorDataset(images, labels), batch_size=50, shuffle=True), tmp_path)
    codes, kept = model.training_codes.get()
    with torch.no_grad():
        expected = model.encode(images)
    rows = torch.cdist(codes, expected).argmin(dim=1)
    assert sorted(rows.tolist()) == list(range(120))
    torch.testing.assert_close(codes, expected[rows], rtol=1e-4, atol=1e-5)
    assert torch.equal(kept, labels[rows])


def test_looking_at_a_plain_loaders_images_leaves_the_random_state_alone(tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*digits()), batch_size=50)
    found = []
    for figures in ([], [Samples(n=8), Reconstructions(n=8)]):
        torch.manual_seed(0)
        found.append(tensors(fit(AE(channels=16, noise=0.1), loader, tmp_path, loader, callbacks=figures, max_epochs=2)))
    assert_equal(*found)


def test_figures_of_a_plain_trainer_are_drawn_or_said_to_be_left_out(tmp_path: Path, capsys) -> None:
    loader = DataLoader(TensorDataset(*digits(100)), batch_size=50)
    fit(VAE(channels=16), loader, tmp_path, loader, callbacks=[Samples(n=8), Reconstructions(n=8)])
    assert (tmp_path / "figures" / "samples" / "gmm" / "epoch_0001.png").is_file()
    assert (tmp_path / "figures" / "reconstructions" / "epoch_0001.png").is_file()
    said = capsys.readouterr().out
    assert "left out" not in said
    assert "not drawn" not in said
    fit(VAE(channels=16), loader, tmp_path, None, callbacks=[Samples(n=8)])
    assert "left out all figures and measures: there is no validation" in capsys.readouterr().out
    fit(BUILD["gan"](), loader, tmp_path, loader, callbacks=[Samples(n=8), Reconstructions(n=8)])
    assert "not drawn for this model: Reconstructions (GAN lacks reconstruct)" in capsys.readouterr().out
