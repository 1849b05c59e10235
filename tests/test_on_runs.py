"""What is done with a run: sample, test, predict, validate, and resume only as what it was."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import DIGITS, MODELS, mnist_root, needs_mnist
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_models.command.board_layout import describe_runs


def test_a_class_of_ones_own_beside_its_config_is_found(lightning, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "ownmodel.py").write_text("from lit_models.ae import AE\nclass Mine(AE):\n    '''An AE of one's own.'''\n")
    (folder / "mine.yaml").write_text("model: {class_path: ownmodel.Mine, init_args: {channels: 16}}\ntrainer: {max_epochs: 1}\n")
    assert lightning("fit", "--config", "work/mine.yaml", *DIGITS) == 0
    run = tmp_path / "logs" / "mine" / "digits" / "version_0"
    assert lightning("sample", run, "--output", "s.png") == 2, "a path inside a checkpoint is never imported unasked"
    sys.path.append(str(folder))
    assert lightning("sample", run, "--import", "ownmodel", "--output", "s.png") == 0


@pytest.fixture
def vqvae_run(fit, tmp_path: Path) -> Path:
    assert fit("vqvae", "--trainer.max_epochs=2") == 0
    return tmp_path / "logs" / "vqvae" / "digits" / "version_0"


def test_a_run_is_sampled_tested_and_encoded_from_its_folder(vqvae_run: Path, lightning, tmp_path: Path, capsys) -> None:
    for run in (vqvae_run, vqvae_run.parent, vqvae_run / "checkpoints" / "last.ckpt"):
        assert lightning("sample", run, "--num", 20, "--label", 7, "--output", "s.npz") == 0
    saved = np.load("s.npz")
    assert saved["images"].shape == (20, 28, 28)
    assert saved["images"].dtype == np.uint8
    assert set(saved["labels"]) == {7}

    def draw(*words: object) -> np.ndarray:
        assert lightning("sample", vqvae_run, "--num", 10, "--output", "d.npz", *words) == 0
        return np.load("d.npz")["images"]

    assert np.array_equal(draw("--seed", 1), draw("--seed", 1))
    assert not np.array_equal(draw("--seed", 1), draw("--seed", 2))
    for words in (["--sampler", "uniform"], ["--sampler", "frequencies"], ["--noise", 0.5], ["--noise", 0.5, "--label", 3]):
        assert draw(*words).shape == (10, 28, 28)
    assert np.array_equal(draw("--noise", 0.0, "--label", 3)[0], draw("--noise", 0.0, "--label", 3)[9])
    assert lightning("sample", vqvae_run, "--output", "s.png") == 0
    assert np.asarray(Image.open("s.png")).shape[2] == 3
    assert lightning("predict", vqvae_run, "--output", "codes.npz") == 0
    codes = np.load("codes.npz")
    assert codes["codes"].shape[1:] == (16, 4, 4)
    assert len(codes["codes"]) == len(codes["labels"]) == 250
    capsys.readouterr()
    assert lightning("test", vqvae_run) == 0
    first = capsys.readouterr().out
    assert "val/mse" in first
    assert "val/codes_used" in first
    lightning("test", vqvae_run)
    timeless = [[line for line in said.splitlines() if "sample_seconds" not in line] for said in (first, capsys.readouterr().out)]
    assert timeless[0] == timeless[1]


FIGURES = {
    "vae_conditional": {"samples/grid", "samples/stages"},
    "anchored": {"samples/grid", "samples/stages", "centroids/means", "centroids/noise", "traversal/lines"},
    "gan": {"samples/grid", "samples/stages"},
    "gan_conditional": {"samples/grid", "samples/stages"},
    "flow": {"samples/grid", "samples/stages"},
    "pixels": {"samples/grid", "samples/stages", "completions"},
}
OF_ENCODERS = {"reconstructions", "samples/grid", "centroids/means", "centroids/noise", "neighbours", "traversal/lines"}


LIKE_ANOTHER = ("vae_conditional", "pca_vae", "gan", "vae_gan")  # each draws what a model of the fast set draws


@pytest.mark.parametrize("model", [pytest.param(model, marks=pytest.mark.by_hand if model in LIKE_ANOTHER else []) for model in MODELS])
def test_a_shipped_config_draws_its_figures_and_its_run_is_sampled_and_tested(model: str, fit, lightning, tmp_path: Path, capsys) -> None:
    assert fit(model, "--trainer.max_epochs=1", figures=True) == 0
    run = tmp_path / "logs" / model / "digits" / "version_0"
    tags = {str(file.parent.relative_to(run / "figures")) for file in run.rglob("epoch_0001.png")}
    assert tags >= FIGURES.get(model, OF_ENCODERS)
    assert any(tag.startswith("latents/") for tag in tags) == (model not in FIGURES)
    with (run / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {int(row["step"]) for row in rows} <= {0, 1, 2, 3, 4}, "a step is a batch, whatever the number of optimisers"
    capsys.readouterr()
    assert lightning("sample", run, "--num", 20, "--output", "s.npz") == 0
    images = np.load("s.npz")["images"]
    assert images.shape == (20, 28, 28)
    assert lightning("test", run) == 0
    assert "val/" in capsys.readouterr().out


def test_the_density_is_chosen_when_samples_are_drawn(fit, lightning, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    run = tmp_path / "logs" / "ae" / "digits"
    drawn = {}
    for name in ("normal", "gaussian", "class_gaussian", "gmm", "class_gmm", "kde"):
        assert lightning("sample", run, "--sampler", name, "--num", 10, "--output", "d.npz") == 0
        drawn[name] = dict(np.load("d.npz"))
        assert ("labels" in drawn[name]) == name.startswith("class_")
    assert lightning("sample", run, "--sampler", "class_gmm", "--label", 4, "--num", 10, "--output", "d.npz") == 0
    assert set(np.load("d.npz")["labels"]) == {4}
    assert not np.array_equal(drawn["normal"]["images"], drawn["gmm"]["images"])
    capsys.readouterr()
    assert lightning("sample", run, "--sampler", "flow") == 2
    assert "--sampler expected one of gaussian, normal, class_gaussian, gmm, class_gmm, kde" in capsys.readouterr().err
    assert lightning("sample", run, "--sampler", "gmm", "--label", 4) == 2
    assert "--label expected a sampler that takes labels" in capsys.readouterr().err


def test_nats_of_a_vae_are_sampled_where_its_images_have_any(fit, lightning, tmp_path: Path, capsys) -> None:
    """More draws give a tighter bound; one gives the negative ELBO, up to the noise of the draw."""
    run = tmp_path / "logs" / "vae" / "digits"
    fit("vae", "--data.init_args.binarize=dynamic", "--trainer.max_epochs=1")
    nats = {}
    for draws in (1, 200):
        capsys.readouterr()
        assert lightning("test", run, "--draws", draws, "--samples", 0) == 0
        said = {line.split()[0]: float(line.split()[1]) for line in capsys.readouterr().out.splitlines() if line.startswith("val/")}
        nats[draws] = said["val/nats"]
    assert nats[1] == pytest.approx(said["val/nelbo"], rel=0.02)
    assert nats[200] < nats[1]
    assert lightning("test", run, "--draws", 0) == 2
    assert "expected a whole number of at least 1" in capsys.readouterr().err
    fit("vae", "--trainer.max_epochs=1")
    assert lightning("test", run, "--draws", 5) == 2
    assert "expected images of 0 and 1, got grey ones" in capsys.readouterr().err
    fit("ae", "--trainer.max_epochs=1")
    assert lightning("test", tmp_path / "logs" / "ae" / "digits", "--draws", 5) == 2
    assert "--draws expected a model whose likelihood can be sampled, a VAE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--label", 11], "--label expected a class from 0 to 9"),
        (["--sampler", "gaussian"], "--sampler expected one of"),
        (["--num", 0], "expected a whole number of at least 1, got '0'"),
        (["--output", "s.gif"], "--output expected a file ending in .png or .npz"),
        (["--output", "nowhere/s.png"], "make nowhere first"),
        (["--sampler", "uniform", "--label", 3], "or decode about the place of the class"),
    ],
)
def test_sample_refuses_what_it_cannot_do(words: list[object], said: str, vqvae_run: Path, lightning, capsys) -> None:
    assert lightning("sample", vqvae_run, *words) == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert len(told.splitlines()) <= 3


def test_a_run_is_resumed_only_as_what_it_was(fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    run = tmp_path / "logs" / "ae" / "digits" / "version_0"
    capsys.readouterr()
    assert fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last", "--model.init_args.latent_dim=8", "--data.init_args.seed=3") == 2
    told = capsys.readouterr().err
    assert "data.seed 0 there, 3 here; model.latent_dim 16 there, 8 here" in told
    assert "--weights" in told
    assert fit("vae", "--trainer.max_epochs=2", f"--ckpt_path={run}") == 2
    assert "model lit_models.ae.AE there, lit_models.vae.VAE here" in capsys.readouterr().err
    assert not (tmp_path / "logs" / "vae").exists()
    assert fit("ae", "--trainer.max_epochs=1", "--data.init_args.seed=3", f"--weights={run}") == 0, "what the error says to do"
    assert [path.name for path in sorted(run.parent.iterdir())] == ["version_0", "version_1"]


def test_validate_measures_a_checkpoint_and_never_random_weights(fit, lightning, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    small = ["--model.init_args.channels=16", *DIGITS]
    assert lightning("validate", "--config", "ae", *small) == 2
    assert "validate expected --ckpt_path" in capsys.readouterr().err
    assert lightning("validate", "--config", "ae", *small, "--ckpt_path=best") == 0
    assert [path.name for path in (tmp_path / "logs" / "ae" / "digits").iterdir()] == ["version_0"]


def test_a_damaged_checkpoint_is_named(fit, lightning, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    best = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:1000])
    capsys.readouterr()
    assert lightning("test", best) == 2
    assert "best.ckpt is no checkpoint, or a damaged one" in capsys.readouterr().err


def test_a_trial_of_the_code_leaves_no_run_and_harms_none(fit, tmp_path: Path) -> None:
    trial = "--trainer.fast_dev_run=true"
    assert fit("ae", trial) == 0
    assert not (tmp_path / "logs").exists()
    (tmp_path / "halt.py").write_text(
        "import os\nfrom lightning.pytorch import Callback\nclass Halt(Callback):\n"
        "    def on_train_batch_start(self, *arguments):\n        os.kill(os.getpid(), 15)\n"
    )
    with pytest.raises(SystemExit):  # inside the first epoch
        fit("ae", "--trainer.callbacks+=halt.Halt", "--trainer.log_every_n_steps=1")
    run = tmp_path / "logs" / "ae" / "digits" / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert fit("ae", "--ckpt_path=last", trial) == 0
    assert before.items() <= {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}.items()


def test_the_headlines_of_a_test_stand_beside_the_hyperparameters(fit, lightning, tmp_path: Path, capsys) -> None:
    """HPARAMS has the newest points of curves, and in addition what `lightning test` has measured."""
    fit("ae", "--trainer.max_epochs=1")
    run = tmp_path / "logs" / "ae" / "digits" / "version_0"
    assert lightning("test", run, "--samples", 100) == 0
    said = capsys.readouterr().out
    assert "no judge for digits: its measures are n/a" in said
    board = EventAccumulator(str(run)).Reload()
    printed = next(float(line.split()[1]) for line in said.splitlines() if line.startswith("val/mse"))
    assert board.Scalars("val/final/mse")[-1].value == pytest.approx(printed, rel=1e-3)
    describe_runs(tmp_path / "logs")  # lightning board does
    columns = EventAccumulator(str(run)).Reload().SummaryMetadata("_hparams_/experiment").plugin_data.content
    for name in (b"val/mse", b"val/final/mse", b"val/final/kid", b"test/mse", b"test/coverage"):
        assert name in columns
    assert b"val/coverage" not in columns, "no run on the small digits has this curve"
    assert lightning("test", run, "--samples", 100, "--split", "test") == 0
    assert "test/mse" in capsys.readouterr().out
    assert EventAccumulator(str(run)).Reload().Scalars("test/mse")
    assert lightning("test", run, "--samples", 5) == 2
    assert "--samples expected at least 100, or 0" in capsys.readouterr().err


@needs_mnist
def test_samples_are_measured_beside_real_images(fit, lightning, tmp_path: Path, capsys) -> None:
    """Of a model that has hardly been trained none are digits, and a tenth of all real ones is not; what the density is called counts."""
    root = f"--data.init_args.root={mnist_root()}"
    fit("ae", "--data.init_args.dataset=mnist", root, "--trainer.max_epochs=1")
    run = tmp_path / "logs" / "ae" / "mnist" / "version_0"
    assert lightning("test", run, "--samples", 200, "--sampler", "gaussian", "--root", mnist_root()) == 0
    said = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in said.splitlines() if line.startswith("val/")}
    assert float(lines["val/recognisable"][1]) < 0.2
    assert float(lines["val/recognisable"][3]) > 0.85, "of real images"
    assert float(lines["val/sharpness"][3]) == pytest.approx(1, abs=0.1)
    measures = "kid kid_untrained coverage spread probe sigma50_centroids reconstruction_recognisable"
    assert {f"val/{name}" for name in measures.split()} <= lines.keys()
    assert "200 samples (sampler gaussian)" in said
    assert float(lines["val/nearer_to_training"][3]) == pytest.approx(0.5, abs=0.2), "of real images"
    assert "noise at centroids, sigma in class spreads" in said
    assert lightning("test", run, "--sampler", "flow", "--samples", 100, "--root", mnist_root()) == 2
    assert "--sampler expected one of gaussian, normal" in capsys.readouterr().err
