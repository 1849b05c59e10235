"""Trained weights that travel with the package."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import BUILD, build, checkpoint_of
from conftest import mnist_root, needs_mnist

from lit_models import load
from lit_models.checkpoints.archive import check_archive
from lit_models.checkpoints.atomic_io import AtomicCheckpointIO
from lit_models.checkpoints.pretrained import FOLDER, names
from lit_models.checkpoints.slim import slim

NAMES = ["ae", "gan_conditional", "latent_flow", "vae", "vqvae"]


def test_five_models_travel_with_the_package_in_eleven_megabytes() -> None:
    assert names() == NAMES
    assert sum(file.stat().st_size for file in FOLDER.glob("*.ckpt")) < 11e6


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_page_with_its_hash_and_what_it_reaches(name: str) -> None:
    file, card = FOLDER / f"{name}.ckpt", (FOLDER / f"{name}.md").read_text()
    check_archive(file)
    assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    assert f'load("pretrained/{name}")' in card
    assert float(re.findall(r"val/recognisable \| ([\d.]+)", card)[0]) > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_python_opens_and_samples_them(name: str) -> None:
    model = load(f"pretrained/{name}")
    assert next(model.parameters()).dtype == torch.float32
    images = model.sample(4, generator=torch.Generator().manual_seed(0))
    assert images.shape == (4, 1, 28, 28)
    assert images.std() > 0.1, "no blank images"


def test_the_command_draws_sevens_on_a_new_machine(lightning, tmp_path: Path, capsys) -> None:
    assert lightning("sample", "vqvae", "--pretrained", "--label", 7, "--num", 20, "--output", "sevens.npz") == 0
    found = np.load("sevens.npz")
    assert found["images"].shape == (20, 28, 28)
    assert (found["labels"] == 7).all()
    capsys.readouterr()
    assert lightning("sample", "nothing", "--pretrained") == 2
    assert "ae, gan_conditional, latent_flow, vae, vqvae" in capsys.readouterr().err


def test_a_training_begins_from_them(lightning, capsys) -> None:
    words = ["--trainer.max_epochs=1", "--data=digits", "--data.limit=200", "--data.epoch_images=null", "--trainer.limit_val_batches=1"]
    for name in ("vqvae", "gan_conditional"):
        assert lightning("fit", "--config", name, "--weights", f"pretrained/{name}", *words) == 0
        assert f"weights  {FOLDER / name}.ckpt" in capsys.readouterr().out


@needs_mnist
def test_a_judge_recognises_most_of_their_digits(lightning, capsys) -> None:
    """Of the models that take labels; `lightning test` finds the run's data and yardstick by what the file knows."""
    assert lightning("test", "latent_flow", "--pretrained", "--samples", 500, "--root", mnist_root()) == 0
    values = dict(re.findall(r"^(val/\w+) +(\S+)   real", capsys.readouterr().out, flags=re.MULTILINE))
    assert float(values["val/recognisable"]) > 0.85
    assert float(values["val/control"]) > 0.95


@pytest.mark.parametrize("name", list(BUILD))
def test_slim_weights_draw_what_the_model_draws(name: str, tmp_path: Path) -> None:
    model = build(name)
    AtomicCheckpointIO().save_checkpoint(slim(checkpoint_of(model)), tmp_path / "slim.ckpt")
    back = load(tmp_path / "slim.ckpt")
    sampler = {"sampler": "normal"} if name in ("ae", "pca_ae", "pca_vae") else {}  # densities are fitted to fewer codes
    first, second = (each.sample(4, generator=torch.Generator().manual_seed(1), **sampler) for each in (model, back))
    if name in ("vqvae", "pixels"):  # a rounded probability may draw another code
        assert first.shape == second.shape
    else:
        torch.testing.assert_close(first, second, rtol=0, atol=2e-2)


def test_a_folder_of_the_users_own_with_this_name_comes_first(lightning, tmp_path: Path) -> None:
    (tmp_path / "pretrained" / "vqvae").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="expected a checkpoint file or a run folder"):
        load("pretrained/vqvae")
