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
from test_plain_loaders import QUIET, digits, digits_for, fit
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lit_models
from datamodules import ImageDataModule
from lit_models import AE, VAE, load, reproducible
from lit_models.contracts import CanDecode, CanEncode, CanSample


@pytest.mark.parametrize("name", MODELS)
def test_a_model_can_be_copied_and_pickled(name: str, tmp_path: Path) -> None:
    model = fit(BUILD[name](), DataLoader(TensorDataset(*digits_for(name, 100)), batch_size=50), tmp_path).eval()
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
        trainer.fit(model, datamodule=ImageDataModule("digits", limit=200, batch_size=64), ckpt_path=ckpt_path)
        return model

    whole = run(3, "whole")
    run(1, "parts")
    parts = run(3, "parts", tmp_path / "parts" / "checkpoints" / "last.ckpt")
    assert_equal(tensors(whole), tensors(parts))
    assert torch.equal(whole.training_codes.codes, parts.training_codes.codes)


def test_load_opens_a_run_a_folder_of_runs_and_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = Trainer(max_epochs=1, **QUIET)
    trainer.fit(VAE(channels=16), datamodule=ImageDataModule("digits", limit=100))
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
