"""The models from Python: a plain Trainer, plain loaders, loading, copying, and exact resuming outside the command."""

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from builders import BUILD, tensors
from conftest import MODELS, ROOT, assert_equal
from lightning import seed_everything
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lit_models
from callbacks import Reconstructions, Samples
from datamodules import MNISTDataModule
from lit_models import AE, VAE, load, reproducible
from lit_models.contracts import CanDecode, CanEncode, CanSample, HasSamplers

OFF = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
QUIET = {"accelerator": "cpu", "num_sanity_val_steps": 0} | dict.fromkeys(OFF, False)
NEED_LABELS = ("vqvae", "gan_conditional", "anchored")


def digits(n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    bunch = load_digits()
    images = interpolate(torch.from_numpy(bunch.images[:n]).float()[:, None] / 16, size=(28, 28), mode="nearest")
    return images, torch.from_numpy(bunch.target[:n]).long()


class Unlabelled(Dataset):
    def __len__(self) -> int:
        return 200

    def __getitem__(self, row: int) -> torch.Tensor:
        return digits(200)[0][row]


def fit(model: LightningModule, loader: object, folder: Path, val: object = None, **options: object) -> LightningModule:
    Trainer(default_root_dir=folder, **QUIET | {"max_epochs": 1} | options).fit(model, loader, val)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_a_plain_trainer_and_a_plain_loader_train_every_model_and_every_sampler_works(name: str, tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*digits()), batch_size=50, shuffle=True)
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
    assert "left out" not in capsys.readouterr().out
    fit(VAE(channels=16), loader, tmp_path, None, callbacks=[Samples(n=8)])
    assert "left out all figures and measures: there is no validation" in capsys.readouterr().out
    fit(BUILD["gan"](), loader, tmp_path, loader, callbacks=[Samples(n=8), Reconstructions(n=8)])
    assert "left out Reconstructions (GAN lacks reconstruct)" in capsys.readouterr().out


@pytest.mark.parametrize("name", MODELS)
def test_a_model_can_be_copied_and_pickled(name: str, tmp_path: Path) -> None:
    model = fit(BUILD[name](), DataLoader(TensorDataset(*digits(100)), batch_size=50), tmp_path).eval()
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        draws = [each.sample(5, generator=torch.Generator().manual_seed(0)) for each in (model, again)]
        assert torch.equal(*draws)


def test_verbs_are_called_as_people_call_them(tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*digits()), batch_size=50)
    model = fit(AE(channels=16, sampler="class_gaussian"), loader, tmp_path)
    assert model.sample(labels=7).shape == (1, 1, 28, 28)
    assert torch.equal(*(model.sample(3, each, torch.Generator().manual_seed(0)) for each in (7, torch.tensor([7, 7, 7]))))
    assert model.sample(8).numpy().shape == (8, 1, 28, 28), "no graph is tracked"
    images = digits(5)[0]
    assert torch.equal(model(images), model.reconstruct(images))
    codes = torch.cat(Trainer(**QUIET).predict(model, loader))
    assert codes.shape == (300, 16)
    program = torch.export.export(model.eval(), (images,))
    torch.testing.assert_close(program.module()(images), model(images), rtol=1e-4, atol=1e-5)
    gan = BUILD["gan"]()
    codes = torch.randn(2, gan.generator.grid[0].in_features)
    assert torch.equal(gan(codes), gan.decode(codes))


class HeldAsModule(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Sequential(nn.Flatten(), nn.Linear(784, 4)), nn.Sequential(nn.Linear(4, 784))


def test_a_verb_that_is_held_as_a_submodule_is_seen() -> None:
    """Python 3.12 and newer look a Protocol's members up statically, and would not see it: so do not rely on that."""
    from inspect import getattr_static

    model = HeldAsModule()
    assert isinstance(model, CanEncode)
    assert isinstance(model, CanDecode)
    assert not isinstance(model, CanSample)
    with pytest.raises(AttributeError):
        getattr_static(model, "decode")


def test_the_length_of_the_schedule_is_that_of_the_training_and_survives_a_longer_resume(tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*digits(100)), batch_size=50)
    trainer = Trainer(max_epochs=3, default_root_dir=tmp_path, **QUIET)
    trainer.fit(AE(channels=16), loader)
    trainer.save_checkpoint(tmp_path / "three.ckpt")
    assert trainer.lr_scheduler_configs[0].scheduler.lr_lambdas[0].steps == 6
    longer = Trainer(max_epochs=5, default_root_dir=tmp_path, **QUIET)
    longer.fit(AE(channels=16), loader, ckpt_path=tmp_path / "three.ckpt")
    assert longer.lr_scheduler_configs[0].scheduler.lr_lambdas[0].steps == 6
    assert longer.global_step == 10
    steps = Trainer(max_steps=4, default_root_dir=tmp_path, **QUIET)
    steps.fit(BUILD["vqvae"](), loader)
    assert [part.steps for part in steps.lr_scheduler_configs[0].scheduler.lr_lambdas] == [1, 3], "a quarter, and the rest"
    given = Trainer(max_epochs=1, default_root_dir=tmp_path, **QUIET)
    given.fit(AE(channels=16, lr_steps=500), loader)
    assert given.lr_scheduler_configs[0].scheduler.lr_lambdas[0].steps == 500


def test_a_reproducible_run_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    def run(epochs: int, folder: str, ckpt_path: Path | None = None) -> VAE:
        seed_everything(0)
        options = QUIET | {"enable_checkpointing": True} | reproducible()
        trainer = Trainer(max_epochs=epochs, default_root_dir=tmp_path / folder, **options)
        model = VAE(channels=16, lr_steps=100)
        trainer.fit(model, datamodule=MNISTDataModule("digits", limit=200, batch_size=64), ckpt_path=ckpt_path)
        return model

    whole = run(3, "whole")
    run(1, "parts")
    parts = run(3, "parts", tmp_path / "parts" / "checkpoints" / "last.ckpt")
    assert_equal(tensors(whole), tensors(parts))
    assert torch.equal(whole.training_codes.codes, parts.training_codes.codes)


def test_load_opens_a_run_a_folder_of_runs_and_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = Trainer(max_epochs=1, **QUIET)
    trainer.fit(VAE(channels=16), datamodule=MNISTDataModule("digits", limit=100))
    for file in ("plain.ckpt", "runs/version_0/checkpoints/last.ckpt"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        trainer.save_checkpoint(file)
    for path in ("plain.ckpt", "runs", Path("runs/version_0")):
        model = load(path)
        assert isinstance(model, VAE)
        assert not model.training
        assert not model.sample(16).requires_grad
    with pytest.raises(FileNotFoundError, match="expected a checkpoint file or a run folder"):
        load("nowhere")


def test_averaged_weights_are_saved_with_codes_of_their_own_encoder(tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(*digits()), batch_size=50)
    trainer = Trainer(max_epochs=2, default_root_dir=tmp_path, **QUIET | {"callbacks": [EMAWeightAveraging(decay=0.5)]})
    trainer.fit(AE(channels=16), loader, loader)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    model = load(tmp_path / "end.ckpt")
    codes, _ = model.training_codes.get()
    with torch.no_grad():
        expected = model.encode(digits()[0])
    gaps = (codes[:, None] - expected).norm(dim=2).amin(dim=1)
    assert gaps.max() < 1e-4
    assert model.sample(4).shape == (4, 1, 28, 28)


def test_names_are_exported_lazily() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, lit_models; lit_models.MODELS; assert 'torch' not in sys.modules"], cwd=ROOT, check=False
    )
    assert done.returncode == 0
    assert {"VAE", "GAN", "load", "reproducible"} <= set(dir(lit_models))
    with pytest.raises(AttributeError, match="has no attribute 'VQGAN'"):
        _ = lit_models.VQGAN


def test_the_readmes_eight_lines_train_sample_save_and_load(tmp_path: Path) -> None:
    """In a process of their own, as a newcomer runs them."""
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert example
    lines = [line for line in example[1].splitlines() if line.strip()]
    assert len(lines) <= 8
    (tmp_path / "example.py").write_text(example[1])
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.rglob("*.ckpt"))
