"""Stopping and going on gives what an unbroken run gives, bit for bit: weights, buffers, optimiser, curves."""

import csv
import signal
import sys
from pathlib import Path

import pytest
import torch
from conftest import DIGITS, MODELS, SMALL, assert_equal, run_process, state_of
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

# Stops the run from inside, as a person would from outside; stands beside the user's YAML, as a class of their own does.
STOPPER = """
import hashlib, os, shutil
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import Timer

class StopAt(Callback):
    def __init__(self, step: int, signal: int = 15, how: str = "signal"):
        self.step, self.signal, self.how = step, signal, how

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step - 1:
            if self.how == "signal":
                os.kill(os.getpid(), self.signal)
            if self.how == "time":
                next(each for each in trainer.callbacks if isinstance(each, Timer))._duration = 1e-9
            if self.how == "exception":
                raise RuntimeError("stopped in training")

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if self.how == "validation" and trainer.global_step >= self.step:
            raise RuntimeError("stopped in validation")


class KeepFirst(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 0:
            shutil.copy(trainer.checkpoint_callback.dirpath + "/last.ckpt", "first.ckpt")


class Witness(Callback):
    \"\"\"Writes down which images each epoch has seen.\"\"\"
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        with open("seen.txt", "a") as file:
            for image in batch[0]:
                digest = hashlib.sha256(image.numpy().tobytes()).hexdigest()[:16]
                file.write(f"{trainer.current_epoch} {digest}" + chr(10))
"""


def curves(run: Path) -> dict[tuple[str, int], list[float]]:
    """Values of each (tag, step) over all event files; more than one would be a doubled point."""
    points: dict[tuple[str, int], list[float]] = {}
    for file in sorted(run.glob("events.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars" and not value.tag.startswith(("best/", "test/")):
                    points.setdefault((value.tag, event.step), []).append(float(tensor_util.make_ndarray(value.tensor)))
    return points


def pictures(run: Path) -> list[tuple[str, int]]:
    found = []
    for file in sorted(run.glob("events.*")):
        for event in EventFileLoader(str(file)).Load():
            found += [(value.tag, event.step) for value in event.summary.value if value.metadata.plugin_data.plugin_name == "images"]
    return sorted(found)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as stream:
        return [{key: value for key, value in row.items() if value != ""} for row in csv.DictReader(stream)]


def assert_same_run(first: Path, second: Path) -> None:
    kept = [sorted(file.name for file in (run / "checkpoints").iterdir()) for run in (first, second)]
    assert kept[0] == kept[1]
    assert "last.ckpt" in kept[0]
    for name in kept[0]:
        assert_equal(state_of(first / "checkpoints" / name), state_of(second / "checkpoints" / name))
    one, other = curves(first), curves(second)
    assert one
    assert one == other
    # Lightning writes the epoch beside the metrics of training and again beside those of validation.
    assert all(len(values) == 1 for (tag, _), values in one.items() if tag != "epoch")
    assert rows(first) == rows(second)


OFTEN = ["--trainer.log_every_n_steps=1"]
WITNESS = ["--trainer.callbacks+=stopper.Witness"]


def seen_images() -> list[str]:
    """Epoch and image, in the order in which they were trained on, since the last call."""
    file = Path("seen.txt")
    lines = file.read_text().splitlines()
    file.unlink()
    return sorted(lines)


@pytest.fixture
def stop_at(tmp_path: Path):
    (tmp_path / "stopper.py").write_text(STOPPER)

    def words(step: int, number: int = signal.SIGTERM, how: str = "signal") -> list[str]:
        place = [f"--trainer.callbacks.step={step}", f"--trainer.callbacks.signal={int(number)}", f"--trainer.callbacks.how={how}"]
        return ["--import=stopper", "--trainer.callbacks+=stopper.StopAt", *place]

    return words


@pytest.mark.parametrize("model", MODELS)
def test_after_an_epoch(model: str, fit, tmp_path: Path) -> None:
    assert fit(model, "--trainer.max_epochs=3", *OFTEN) == 0
    assert fit(model, "--trainer.max_epochs=1", *OFTEN) == 0
    assert fit(model, "--trainer.max_epochs=3", *OFTEN, "--ckpt_path=last") == 0
    first, second = (tmp_path / "logs" / model / "digits" / f"version_{number}" for number in (0, 1))
    assert not (second.parent / "version_2").exists(), "a resumed run stays in its folder"
    assert_same_run(first, second)


# Inside an epoch, at its end; for the VQ-VAE also before, in and after its change of phase, which is after step 6; for the GANs before
# and after a penalised step, the fifth.
PLACES = {"ae": (2, 8), "vae": (3, 7), "vqvae": (2, 4, 5, 6, 7, 8, 11), "gan": (4, 5), "gan_reconstruction": (5, 6)}


@pytest.mark.parametrize(("model", "step"), [(model, step) for model in MODELS for step in PLACES.get(model, (3,))])
def test_after_a_signal(model: str, step: int, fit, stop_at, tmp_path: Path) -> None:
    assert fit(model, "--trainer.max_epochs=3", *OFTEN) == 0
    with pytest.raises(SystemExit) as stopped:
        fit(model, "--trainer.max_epochs=3", *OFTEN, *stop_at(step))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert fit(model, "--trainer.max_epochs=3", *OFTEN, "--ckpt_path=last") == 0
    runs = tmp_path / "logs" / model / "digits"
    assert sorted(path.name for path in runs.iterdir()) == ["version_0", "version_1"]
    assert_same_run(runs / "version_0", runs / "version_1")


# Four batches an epoch: 6 lies inside the second, 8 ends it; with a validation after every second batch, one follows the sixth.
INSIDE = ["--trainer.val_check_interval=2"]
STOPS = {
    "in the last batch": (8, "signal", []),
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


BY_HAND = ("gan_reconstruction", "anchored", "pca_ae", "pca_vae")


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=pytest.mark.by_hand if model in BY_HAND else pytest.mark.reliability) for model in MODELS]
)
def test_r1_every_model_stopped_anywhere_ends_as_the_untouched_run(model: str, stop: str, fit, stop_at, tmp_path: Path) -> None:
    step, how, words = STOPS[stop]
    words = ["--trainer.max_epochs=3", *OFTEN, *words, *WITNESS]
    assert fit(model, *words) == 0
    untouched = seen_images()
    assert len(untouched) == len(set(untouched)) == 3 * len({line.split()[1] for line in untouched})
    limit = ["--trainer.max_time=01:00:00:00"] if how == "time" else []
    with pytest.raises((SystemExit, RuntimeError)) as stopped:
        fit(model, *words, *limit, *stop_at(step, how=how))
    if how == "time":
        assert stopped.value.code == 0
    assert fit(model, *words, "--ckpt_path=last") == 0
    if how in ("signal", "time"):
        assert seen_images() == untouched
    else:  # what came after the last checkpoint is done again
        assert set(seen_images()) == set(untouched)
    runs = tmp_path / "logs" / model / "digits"
    assert_same_run(runs / "version_0", runs / "version_1")


@pytest.mark.parametrize("model", ["ae", "gan"])
def test_r1_a_run_whose_steps_end_inside_an_epoch_can_be_prolonged(model: str, fit, stop_at, tmp_path: Path) -> None:
    words = ["--trainer.max_epochs=3", *OFTEN, *WITNESS]
    fit(model, *words)
    untouched = seen_images()
    assert fit(model, *words, "--trainer.max_steps=6") == 0
    assert fit(model, *words, "--ckpt_path=last") == 0
    assert seen_images() == untouched
    runs = tmp_path / "logs" / model / "digits"
    assert_same_run(runs / "version_0", runs / "version_1")


def test_r3_two_runs_of_one_seed_are_one(fit, tmp_path: Path) -> None:
    for _ in range(2):
        fit("vqvae", "--trainer.max_epochs=2", *OFTEN)
    runs = tmp_path / "logs" / "vqvae" / "digits"
    assert_same_run(runs / "version_0", runs / "version_1")


def test_a_run_killed_before_its_first_step_starts_anew_in_its_folder(fit, lightning, stop_at, tmp_path: Path, capsys) -> None:
    fit("vqvae", "--trainer.max_epochs=2", *OFTEN)
    with pytest.raises(SystemExit):
        fit("vqvae", "--trainer.max_epochs=2", *OFTEN, *stop_at(2), "--trainer.callbacks+=stopper.KeepFirst")
    runs = tmp_path / "logs" / "vqvae" / "digits"
    last = runs / "version_1" / "checkpoints" / "last.ckpt"
    last.write_bytes((tmp_path / "first.ckpt").read_bytes())  # as if the kill had come before the second save
    assert state_of(last)["global_step"] == 0
    assert lightning("test", runs / "version_1") == 2
    assert "saved before its first step" in capsys.readouterr().err
    assert fit("vqvae", "--trainer.max_epochs=2", *OFTEN, "--ckpt_path=last") == 0
    assert_same_run(runs / "version_0", runs / "version_1")
    assert not (runs / "version_2").exists()


def test_last_is_the_last_model_though_another_was_the_best(fit, tmp_path: Path) -> None:
    fit("ae", "--trainer.max_epochs=3", "--checkpoint.mode=max")  # the loss falls: the first epoch has the most
    folder = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints"
    epochs = {file.stem: torch.load(file, weights_only=True)["epoch"] for file in folder.iterdir()}
    assert epochs == {"best": 0, "last": 2}


def test_a_run_that_is_not_resumed_differs_from_another_seed(fit, tmp_path: Path) -> None:
    """The control: equality above is not a matter of comparing nothing."""
    fit("ae", "--trainer.max_epochs=1")
    fit("ae", "--trainer.max_epochs=1", "--seed_everything=1")
    runs = tmp_path / "logs" / "ae" / "digits"
    with pytest.raises(AssertionError):
        assert_same_run(runs / "version_0", runs / "version_1")


def test_looking_does_not_touch(fit, tmp_path: Path) -> None:
    fit("vqvae", "--trainer.max_epochs=2", *OFTEN)
    fit("vqvae", "--trainer.max_epochs=2", *OFTEN, figures=True)
    runs = tmp_path / "logs" / "vqvae"
    bare, shown = runs / "digits" / "version_0", runs / "digits" / "version_1"
    assert_equal(state_of(bare / "checkpoints" / "last.ckpt"), state_of(shown / "checkpoints" / "last.ckpt"))
    assert pictures(shown)
    assert not pictures(bare)


def test_pictures_are_not_doubled_by_a_resume(fit, stop_at, tmp_path: Path) -> None:
    fit("vae", "--trainer.max_epochs=2", figures=True)
    with pytest.raises(SystemExit):
        fit("vae", "--trainer.max_epochs=2", *stop_at(6), figures=True)
    fit("vae", "--trainer.max_epochs=2", "--ckpt_path=last", figures=True)
    runs = tmp_path / "logs" / "vae" / "digits"
    assert pictures(runs / "version_0") == pictures(runs / "version_1")
    assert len(set(pictures(runs / "version_1"))) == len(pictures(runs / "version_1"))


def test_what_was_logged_after_the_checkpoint_is_taken_back(fit, tmp_path: Path) -> None:
    """A crash leaves points beyond the last checkpoint: they are logged again, and stand there once."""
    fit("ae", "--trainer.max_epochs=3", *OFTEN)
    run = tmp_path / "logs" / "ae" / "digits" / "version_0"
    before, table = curves(run), rows(run)
    fit("ae", "--trainer.max_epochs=1", *OFTEN)
    early = (run.parent / "version_1" / "checkpoints" / "last.ckpt").read_bytes()
    (run / "checkpoints" / "last.ckpt").write_bytes(early)  # as if the run had died in epoch 3
    fit("ae", "--trainer.max_epochs=3", *OFTEN, f"--ckpt_path={run}")
    assert curves(run) == before
    assert rows(run) == table


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_a_signal_leaves_a_checkpoint_and_its_exit_code(number: int, code: int, fit, stop_at, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        fit("ae", "--trainer.max_epochs=3", *stop_at(3, number))
    assert stopped.value.code == code
    last = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints" / "last.ckpt"
    assert state_of(last)["global_step"] == 3
    assert f"stopped by {signal.Signals(number).name} after 3 steps" in capsys.readouterr().out


def test_a_run_can_be_prolonged_and_its_schedule_does_not_depend_on_its_length(fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    assert fit("ae", "--trainer.max_epochs=1", "--ckpt_path=last") == 2
    assert "prolong it" in capsys.readouterr().err
    assert fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last") == 0


@pytest.mark.parametrize("model", MODELS)
def test_two_processes_hold_the_same_weights_and_codebook(model: str, tmp_path: Path) -> None:
    """Real DDP through the installed command; each rank writes down what it holds at the end."""
    (tmp_path / "witness.py").write_text(
        "import hashlib, torch\n"
        "from pathlib import Path\n"
        "from lightning.pytorch import Callback\n"
        "class Witness(Callback):\n"
        "    def on_train_end(self, trainer, pl_module):\n"
        "        state = {k: v for k, v in pl_module.state_dict().items() if torch.is_tensor(v)}\n"
        "        digest = {k: hashlib.sha256(v.numpy().tobytes()).hexdigest() for k, v in state.items()}\n"
        "        noise = float(torch.rand(()))\n"
        "        codes = pl_module.training_codes.get_extra_state() if hasattr(pl_module, 'training_codes') else {}\n"
        "        torch.save([digest, noise, codes], f'rank_{trainer.global_rank}.pt')\n"
    )
    words = [*DIGITS, *SMALL[model], "--trainer.strategy=ddp", "--trainer.devices=2", "--trainer.max_epochs=2"]
    done = run_process("fit", "--config", model, *words, "--import=witness", "--trainer.callbacks+=witness.Witness", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    (first, noise, codes), (second, other_noise, other_codes) = (
        torch.load(tmp_path / f"rank_{rank}.pt", weights_only=True) for rank in (0, 1)
    )
    assert first == second
    assert len(first) > 10
    assert_equal(codes, other_codes)
    assert noise != other_noise, "each rank has noise of its own"
    runs = list((tmp_path / "logs" / model / "digits").iterdir())
    assert [run.name for run in runs] == ["version_0"]
    assert (runs[0] / "checkpoints" / "last.ckpt").is_file()
    assert "Warning" not in done.stderr


def test_a_signal_to_one_of_two_processes_stops_both_and_one_goes_on_alone(fit, tmp_path: Path) -> None:
    (tmp_path / "stopper.py").write_text(STOPPER.replace("if trainer", "if trainer.global_rank == 0 and trainer"))
    words = [*DIGITS, *SMALL["ae"], "--trainer.max_epochs=3", "--import=stopper"]
    words += ["--trainer.callbacks+=stopper.StopAt", "--trainer.callbacks.step=6"]
    done = run_process("fit", "--config", "ae", "--config", "ddp", *words, cwd=tmp_path)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr[-3000:]
    last = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints" / "last.ckpt"
    assert state_of(last)["global_step"] == 6
    assert fit("ae", "--trainer.max_epochs=3", "--ckpt_path=last") == 0
    assert state_of(last)["global_step"] == 12


def test_processes_started_by_torchrun_train_in_one_folder(tmp_path: Path) -> None:
    start = [Path(sys.executable).parent / "torchrun", "--nproc_per_node=2", "--master_port=29611", "-m", "lit_models", "fit"]
    words = ["--config", "ae", "--config", "ddp", *DIGITS, *SMALL["ae"], "--trainer.max_epochs=1"]
    done = run_process(*words, cwd=tmp_path, start=start)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [run.name for run in (tmp_path / "logs" / "ae" / "digits").iterdir()] == ["version_0"]
    assert (tmp_path / "logs" / "ae" / "digits" / "version_0" / "figures" / "samples" / "grid" / "epoch_0001.png").is_file()
