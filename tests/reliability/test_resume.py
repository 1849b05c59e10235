"""R1, R7, R10, R18: a run that is stopped and resumed equals the uninterrupted run bit for bit: weights, buffers, optimiser, curves."""

import signal
import sys
from pathlib import Path

import pytest
import torch
from conftest import DATA, DIGITS, MODELS, SMALL, assert_equal, run_process, state_of
from same_run import OFTEN, STOPPER, assert_same_run, curves, pictures, rows


@pytest.mark.parametrize("model", MODELS)
def test_a_run_resumed_after_an_epoch_equals_the_uninterrupted_run(model: str, fit, tmp_path: Path) -> None:
    assert fit(model, "--trainer.max_epochs=3", *OFTEN) == 0
    assert fit(model, "--trainer.max_epochs=1", *OFTEN) == 0
    assert fit(model, "--trainer.max_epochs=3", *OFTEN, "--ckpt_path=last") == 0
    first, second = (tmp_path / "logs" / model / DATA / f"version_{number}" for number in (0, 1))
    assert not (second.parent / "version_2").exists(), "a resumed run should stay in its folder"
    assert_same_run(first, second)


# The steps are inside an epoch and at its end. The VQ-VAE also stops before, in and after its change of phase, which is after step 6. The
# GANs stop before and after a penalised step, the fifth.
PLACES = {"ae": (2, 8), "vae": (3, 7), "vqvae": (2, 4, 5, 6, 7, 8, 11), "gan": (4, 5), "vae_gan": (5, 6)}


@pytest.mark.parametrize(("model", "step"), [(model, step) for model in MODELS for step in PLACES.get(model, (3,))])
def test_a_run_resumed_after_a_signal_equals_the_uninterrupted_run(model: str, step: int, fit, stop_at, tmp_path: Path) -> None:
    assert fit(model, "--trainer.max_epochs=3", *OFTEN) == 0
    with pytest.raises(SystemExit) as stopped:
        fit(model, "--trainer.max_epochs=3", *OFTEN, *stop_at(step))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert fit(model, "--trainer.max_epochs=3", *OFTEN, "--ckpt_path=last") == 0
    runs = tmp_path / "logs" / model / DATA
    assert sorted(path.name for path in runs.iterdir()) == ["version_0", "version_1"]
    assert_same_run(runs / "version_0", runs / "version_1")


@pytest.mark.parametrize("step", [3, 8])
def test_a_binarised_run_of_the_vqvae_resumed_in_either_phase_equals_the_uninterrupted_run(step: int, fit, stop_at, tmp_path: Path) -> None:
    """Its loss depends on whether images are binary, which the resumed process finds out again."""
    binarised = ["--trainer.max_epochs=3", "--data.init_args.binarize=dynamic", *OFTEN]
    assert fit("vqvae", *binarised) == 0
    with pytest.raises(SystemExit):
        fit("vqvae", *binarised, *stop_at(step))
    assert fit("vqvae", *binarised, "--ckpt_path=last") == 0
    runs = tmp_path / "logs" / "vqvae" / DATA
    assert_same_run(runs / "version_0", runs / "version_1")


def test_last_is_the_last_model_if_another_is_the_best(fit, tmp_path: Path) -> None:
    fit("ae", "--trainer.max_epochs=3", "--checkpoint.mode=max")  # the loss falls, so the first epoch has the highest one
    folder = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints"
    epochs = {file.stem: torch.load(file, weights_only=True)["epoch"] for file in folder.iterdir()}
    assert epochs == {"best": 0, "last": 2}


def test_runs_with_different_seeds_differ(fit, tmp_path: Path) -> None:
    """The control: `assert_same_run` finds differences where there are some."""
    fit("ae", "--trainer.max_epochs=1")
    fit("ae", "--trainer.max_epochs=1", "--seed_everything=1")
    runs = tmp_path / "logs" / "ae" / DATA
    with pytest.raises(AssertionError):
        assert_same_run(runs / "version_0", runs / "version_1")


def test_figures_do_not_change_the_training(fit, tmp_path: Path) -> None:
    fit("vqvae", "--trainer.max_epochs=2", *OFTEN)
    fit("vqvae", "--trainer.max_epochs=2", *OFTEN, figures=True)
    runs = tmp_path / "logs" / "vqvae"
    bare, shown = runs / DATA / "version_0", runs / DATA / "version_1"
    assert_equal(state_of(bare / "checkpoints" / "last.ckpt"), state_of(shown / "checkpoints" / "last.ckpt"))
    assert pictures(shown)
    assert not pictures(bare)


def test_resuming_logs_no_picture_twice(fit, stop_at, tmp_path: Path) -> None:
    fit("vae", "--trainer.max_epochs=2", figures=True)
    with pytest.raises(SystemExit):
        fit("vae", "--trainer.max_epochs=2", *stop_at(6), figures=True)
    fit("vae", "--trainer.max_epochs=2", "--ckpt_path=last", figures=True)
    runs = tmp_path / "logs" / "vae" / DATA
    assert pictures(runs / "version_0") == pictures(runs / "version_1")
    assert len(set(pictures(runs / "version_1"))) == len(pictures(runs / "version_1"))


def test_points_logged_after_the_checkpoint_are_removed_on_resuming(fit, tmp_path: Path) -> None:
    """A crash leaves points beyond the last checkpoint. The resumed run logs them again, and each point exists once."""
    fit("ae", "--trainer.max_epochs=3", *OFTEN)
    run = tmp_path / "logs" / "ae" / DATA / "version_0"
    before, table = curves(run), rows(run)
    fit("ae", "--trainer.max_epochs=1", *OFTEN)
    early = (run.parent / "version_1" / "checkpoints" / "last.ckpt").read_bytes()
    (run / "checkpoints" / "last.ckpt").write_bytes(early)  # as if the run had crashed without a later save
    fit("ae", "--trainer.max_epochs=3", *OFTEN, f"--ckpt_path={run}")
    assert curves(run) == before
    assert rows(run) == table


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_a_signal_leaves_a_checkpoint_and_its_exit_code(number: int, code: int, fit, stop_at, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        fit("ae", "--trainer.max_epochs=3", *stop_at(3, number))
    assert stopped.value.code == code
    last = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints" / "last.ckpt"
    assert state_of(last)["global_step"] == 3
    assert f"stopped by {signal.Signals(number).name} after 3 steps" in capsys.readouterr().out


def test_a_run_can_be_prolonged_and_its_schedule_does_not_depend_on_its_length(fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    assert fit("ae", "--trainer.max_epochs=1", "--ckpt_path=last") == 2
    assert "prolong it" in capsys.readouterr().err
    assert fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last") == 0


TOGETHER = ("ae", "vqvae", "gan_conditional", "flow")  # the others train in two processes by hand


@pytest.mark.parametrize("model", [pytest.param(model, marks=[] if model in TOGETHER else pytest.mark.by_hand) for model in MODELS])
def test_two_processes_hold_the_same_weights_and_codebook(model: str, tmp_path: Path) -> None:
    """The installed command trains with DDP, and each rank saves a digest of its state at the end."""
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
    assert noise != other_noise, "each rank should have noise of its own"
    runs = list((tmp_path / "logs" / model / DATA).iterdir())
    assert [run.name for run in runs] == ["version_0"]
    assert (runs[0] / "checkpoints" / "last.ckpt").is_file()
    assert "Warning" not in done.stderr


@pytest.mark.parametrize(("step", "how"), [(6, "signal"), (8, "signal in validation")])
def test_a_signal_to_one_of_two_processes_stops_both_and_the_run_resumes_on_one(step: int, how: str, fit, tmp_path: Path) -> None:
    (tmp_path / "stopper.py").write_text(STOPPER.replace("if trainer", "if trainer.global_rank == 0 and trainer"))
    words = [*DIGITS, *SMALL["ae"], "--trainer.max_epochs=3", "--import=stopper"]
    words += ["--trainer.callbacks+=stopper.StopAt", f"--trainer.callbacks.step={step}", f"--trainer.callbacks.how={how}"]
    done = run_process("fit", "--config", "ae", "--config", "ddp", *words, cwd=tmp_path)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr[-3000:]
    last = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints" / "last.ckpt"
    assert state_of(last)["global_step"] == step
    assert fit("ae", "--trainer.max_epochs=3", "--ckpt_path=last") == 0
    assert state_of(last)["global_step"] == 12


def test_processes_started_by_torchrun_train_in_one_folder(tmp_path: Path) -> None:
    start = [Path(sys.executable).parent / "torchrun", "--nproc_per_node=2", "--master_port=29611", "-m", "lit_models", "fit"]
    words = ["--config", "ae", "--config", "ddp", *DIGITS, *SMALL["ae"], "--trainer.max_epochs=1"]
    done = run_process(*words, cwd=tmp_path, start=start)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [run.name for run in (tmp_path / "logs" / "ae" / DATA).iterdir()] == ["version_0"]
    assert (tmp_path / "logs" / "ae" / DATA / "version_0" / "figures" / "samples" / "grid" / "epoch_0001.png").is_file()
