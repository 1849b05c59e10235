"""What users report: Lightning's own options. Each test is one report, or its whole kind, with the real command."""

from pathlib import Path

import pytest
from conftest import run_process
from lightning.pytorch.callbacks import LearningRateFinder  # noqa: F401  (a config names it)
from reports import SMALL, F, three_lines

from lit_models.checkpoints.atomic_io import read_checkpoint

# -- 15, 17, 19, 20, 26, 35, 44: Lightning's own options


def test_15_weights_averaged_by_lightnings_callback_are_sampled_and_tested(lightning, tmp_path: Path) -> None:
    assert lightning("fit", "--config", "ae", *F, *SMALL, "--trainer.callbacks+=EMAWeightAveraging") == 0
    run = tmp_path / "logs" / "ae+fast" / "digits"
    assert lightning("sample", run, "--sampler", "gmm") == 0
    assert lightning("test", run, "--samples", 100) == 0


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_notebook"])
def test_17_strategies_that_spawn_or_fork_train_and_end_well(strategy: str, tmp_path: Path) -> None:
    words = [f"--trainer.strategy={strategy}", "--trainer.devices=2"]
    done = run_process("fit", "--config", "vae", *F, *SMALL, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_checkpoint(tmp_path / "logs/vae+fast/digits/version_0/checkpoints/last.ckpt")["global_step"] == 4


@pytest.mark.parametrize("model", ["vae", "vqvae", "gan"])
def test_19_lightnings_sanity_check_works(model: str, lightning) -> None:
    small = ["--model.clusters=3"] if model == "gan" else []
    assert lightning("fit", "--config", model, *F, *small, "--trainer.num_sanity_val_steps=2") == 0


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss"], "did you mean val/loss?"),
        (["--checkpoint.monitor=val/los"], "did you mean val/loss?"),
    ],
)
def test_20_a_metric_that_is_not_logged_is_answered_with_the_nearest(words: list[str], nearest: str, lightning, capsys) -> None:
    assert lightning("fit", "--config", "vae", *F, *SMALL, *words) == 2
    assert nearest in three_lines(capsys)


def test_26_a_tuner_is_refused(lightning, tmp_path: Path, capsys) -> None:
    assert lightning("fit", "--config", "vae", *F, "--trainer.callbacks+=LearningRateFinder") == 2
    assert "LearningRateFinder, whose result would be neither in force nor recorded" in three_lines(capsys)
    assert not (tmp_path / "logs").exists()


def test_35_barebones_is_refused_with_a_remedy(lightning, tmp_path: Path, capsys) -> None:
    assert lightning("fit", "--config", "vae", *F, "--trainer.barebones=true") == 2
    assert "--trainer.fast_dev_run true" in three_lines(capsys)
    assert not (tmp_path / "logs").exists()


def test_44_training_losses_can_be_monitored_from_the_first_epoch_on(lightning) -> None:
    words = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=train/loss", "--trainer.log_every_n_steps=100"]
    assert lightning("fit", "--config", "vae", *F, *SMALL, *words) == 0


def test_callbacks_without_a_plus_are_warned_about(lightning, capsys) -> None:
    words = ["--trainer.callbacks=callbacks.SeedEachStep"]
    assert lightning("fit", "--config", "vae", *F, *SMALL, *words) == 0
    assert "--trainer.callbacks replaces the shared list, and leaves out callbacks.StopOnSignal" in capsys.readouterr().err
