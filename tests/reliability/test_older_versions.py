"""Runs that version 0.1.0 has made are sampled, tested and resumed. They lie in runs_0.1.0/, as that version wrote them."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import DIGITS

from lit_models import load
from lit_models.checkpoints.atomic_io import read_checkpoint

RUNS = Path(__file__).parent / "runs_0.1.0"
SMALL = {
    "vqvae": [
        "--model.n_codes=16", "--model.code_dim=2", "--model.channels=8", "--model.prior_width=8", "--model.prior_layers=1",
        "--model.sampler=frequencies",
    ],
    "vae_gan": [
        "--model.encoder_channels=8", "--model.generator_channels=3", "--model.discriminator_channels=2", "--model.latent_dim=2",
    ],
}  # fmt: skip
NAMED_THEN = {"vqvae": "vqvae", "vae_gan": "gan_reconstruction"}
AS_THEN = [*DIGITS, "--data.dataset=digits", "--data.limit=200", "--data.batch_size=50", "--trainer.log_every_n_steps=1"]


@pytest.fixture(params=SMALL)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A model, and a run of it."""
    named = NAMED_THEN[request.param]
    shutil.copytree(RUNS / named, tmp_path / "logs" / named)
    return request.param, tmp_path / "logs" / named / "digits" / "version_0"


def test_the_runs_are_those_of_the_older_version() -> None:
    """The control: their arguments have the old names."""
    for named, argument in (("vqvae", "code_prior"), ("gan_reconstruction", "latent_density")):
        file = RUNS / named / "digits" / "version_0" / "checkpoints" / "last.ckpt"
        assert argument in torch.load(file, weights_only=True)["hyper_parameters"]


def test_an_older_run_is_sampled_tested_and_encoded(old: tuple[str, Path], lightning, capsys) -> None:
    _, run = old
    assert lightning("sample", run, "--num", 10, "--output", "s.npz") == 0
    assert np.load("s.npz")["images"].shape == (10, 28, 28)
    assert lightning("predict", run, "--output", "codes.npz") == 0
    assert lightning("test", run, "--samples", 100) == 0
    assert "validation images of digits" in capsys.readouterr().out
    model = load(run)
    assert model.sample(4, sampler=model.default_sampler).shape == (4, 1, 28, 28)


def test_an_older_run_is_resumed_in_its_folder_with_its_schedule(old: tuple[str, Path], lightning, capsys) -> None:
    name, run = old
    before = read_checkpoint(run / "checkpoints" / "last.ckpt")
    words = ["fit", "--config", name, *AS_THEN, *SMALL[name], f"--ckpt_path={run}"]
    assert lightning(*words, "--trainer.max_epochs=2") == 0
    after = read_checkpoint(run / "checkpoints" / "last.ckpt")
    assert (before["global_step"], after["global_step"]) == (4, 8)
    lengths = [[part["steps"] for part in schedule["lr_lambdas"]] for schedule in after["lr_schedulers"]]
    assert lengths == ([[3, 10]] if name == "vqvae" else [[20], [20]])
    with (run / "metrics.csv").open(newline="") as stream:
        assert {int(row["step"]) for row in csv.DictReader(stream)} >= set(range(8))
    assert lightning(*words, "--trainer.max_epochs=3", "--data.batch_size=25") == 2
    assert "data.batch_size 50 there, 25 here" in capsys.readouterr().err
