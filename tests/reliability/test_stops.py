"""R1, R3: every model that is stopped anywhere and resumed ends as the uninterrupted run."""

from pathlib import Path

import pytest
from conftest import DATA, MODELS, state_of
from same_run import OFTEN, WITNESS, assert_same_run, seen_images

# An epoch has four batches, so step 6 is inside the second epoch and step 8 ends it. With a validation after every second batch, one
# follows step 6.
INSIDE = ["--trainer.val_check_interval=2"]
STOPS = {
    "in the last batch": (8, "signal", []),
    "in the validation of an epoch": (8, "signal in validation", []),
    "in a validation inside": (6, "signal in validation", INSIDE),
    "in the last validation": (12, "signal in validation", []),
    "in the last batch of an epoch without validation": (8, "signal", ["--trainer.check_val_every_n_epoch=3"]),
    "time limit at the end of an epoch without validation": (8, "time", ["--trainer.check_val_every_n_epoch=3"]),
    "before a validation inside": (5, "signal", INSIDE),
    "in the batch that a validation inside follows": (6, "signal", INSIDE),
    "after a validation inside": (7, "signal", INSIDE),
    "time limit inside": (6, "time", []),
    "time limit before a validation inside": (6, "time", INSIDE),
    "time limit at the end": (8, "time", []),
    "exception": (6, "exception", []),
    "exception in validation": (8, "validation", []),
    "exception in a validation inside": (6, "validation", INSIDE),
}


NEAR_AT_HAND = ("vqvae", "gan")  # the change of phase, and two optimisers; the other models are stopped by hand


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=pytest.mark.reliability if model in NEAR_AT_HAND else pytest.mark.by_hand) for model in MODELS]
)
def test_r1_every_model_stopped_anywhere_and_resumed_ends_as_the_uninterrupted_run(
    model: str, stop: str, fit, stop_at, tmp_path: Path
) -> None:
    step, how, words = STOPS[stop]
    words = ["--trainer.max_epochs=3", *OFTEN, *words, *WITNESS]
    assert fit(model, *words) == 0
    untouched = seen_images()
    assert len(untouched) == len(set(untouched)) == 3 * 250, "each image once per epoch"
    limit = ["--trainer.max_time=01:00:00:00"] if how == "time" else []
    with pytest.raises((SystemExit, RuntimeError)) as stopped:
        fit(model, *words, *limit, *stop_at(step, how=how))
    if how == "time":
        assert stopped.value.code == 0
    assert fit(model, *words, "--ckpt_path=last") == 0
    if how in ("signal", "signal in validation", "time"):
        assert seen_images() == untouched
    else:  # the batches after the last checkpoint are repeated
        assert set(seen_images()) == set(untouched)
    runs = tmp_path / "logs" / model / DATA
    assert_same_run(runs / "version_0", runs / "version_1")


@pytest.mark.parametrize("model", ["ae", "gan"])
def test_r1_a_run_whose_steps_end_inside_an_epoch_can_be_prolonged(model: str, fit, stop_at, tmp_path: Path) -> None:
    words = ["--trainer.max_epochs=3", *OFTEN, *WITNESS]
    fit(model, *words)
    untouched = seen_images()
    assert fit(model, *words, "--trainer.max_steps=6") == 0
    assert fit(model, *words, "--ckpt_path=last") == 0
    assert seen_images() == untouched
    runs = tmp_path / "logs" / model / DATA
    assert_same_run(runs / "version_0", runs / "version_1")


def test_r1_a_signal_in_the_last_validation_lets_the_run_end_normally(fit, stop_at, tmp_path: Path) -> None:
    words = ["--trainer.max_steps=8", *OFTEN]
    for stop in ([], stop_at(8, how="signal in validation")):
        assert fit("ae", *words, *stop) == 0
    runs = tmp_path / "logs" / "ae" / DATA
    assert_same_run(runs / "version_0", runs / "version_1")


def test_r3_two_runs_with_the_same_seed_are_equal(fit, tmp_path: Path) -> None:
    for _ in range(2):
        fit("vqvae", "--trainer.max_epochs=2", *OFTEN)
    runs = tmp_path / "logs" / "vqvae" / DATA
    assert_same_run(runs / "version_0", runs / "version_1")


def test_a_run_killed_before_its_first_step_restarts_in_its_folder(fit, lightning, stop_at, tmp_path: Path, capsys) -> None:
    fit("vqvae", "--trainer.max_epochs=2", *OFTEN)
    with pytest.raises(SystemExit):
        fit("vqvae", "--trainer.max_epochs=2", *OFTEN, *stop_at(2), "--trainer.callbacks+=stopper.KeepFirst")
    runs = tmp_path / "logs" / "vqvae" / DATA
    last = runs / "version_1" / "checkpoints" / "last.ckpt"
    last.write_bytes((tmp_path / "first.ckpt").read_bytes())  # as if the kill had come before the second save
    assert state_of(last)["global_step"] == 0
    assert lightning("test", runs / "version_1") == 2
    assert "saved before its first step" in capsys.readouterr().err
    assert fit("vqvae", "--trainer.max_epochs=2", *OFTEN, "--ckpt_path=last") == 0
    assert_same_run(runs / "version_0", runs / "version_1")
    assert not (runs / "version_2").exists()
