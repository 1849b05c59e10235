"""R2, R7, R18: runs of the real command that real signals stop at random times, and that are resumed."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import DATA, DIGITS, LIGHTNING, SMALL, bare_config, mnist_root, needs_mnist, one_thread, run_process
from same_run import assert_same_run

from lit_models.checkpoints.atomic_io import read_checkpoint

QUICK = ["--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false"]


def start(cwd: Path, *words: object) -> subprocess.Popen[str]:
    command = list(map(str, [LIGHTNING, *words]))
    return subprocess.Popen(command, cwd=cwd, env=one_thread(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_training(process: subprocess.Popen[str], last: Path) -> None:
    """Wait until the run has printed its first line and has saved a checkpoint to resume from."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("look "):
            break
    while not last.is_file() and process.poll() is None:
        time.sleep(0.02)


@pytest.mark.parametrize("kills", [pytest.param(3, marks=pytest.mark.reliability), pytest.param(20, marks=pytest.mark.by_hand)])
@pytest.mark.parametrize("model", ["vqvae", "gan_conditional"])
def test_r2_any_number_of_random_interruptions_give_the_uninterrupted_run(model: str, kills: int, fit, tmp_path: Path) -> None:
    """The command is the same each time, with `--ckpt_path last` from the second time on.

    R18: every point of the curves exists once, and no row is lost.
    """
    drawn = random.Random(kills)
    epochs = f"--trainer.max_epochs={20 * kills}"
    done = run_process("fit", "--config", model, "--config", bare_config(model), *DIGITS, *SMALL[model], *QUICK, epochs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    runs = tmp_path / "logs" / model / DATA
    last = runs / "version_1" / "checkpoints" / "last.ckpt"
    words = ["fit", "--config", model, "--config", "bare.yaml", *DIGITS, *SMALL[model], *QUICK, epochs]
    cuts = []
    for part in range(kills + 1):
        process = start(tmp_path, *words, *(["--ckpt_path=last"] if part else []))
        wait_for_training(process, last)
        if part < kills:
            time.sleep(drawn.uniform(0, 1.5))
            cut = drawn.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
            process.send_signal(cut)
            said, _ = process.communicate(timeout=60)
            assert process.returncode in (-cut, 128 + cut), said[-2000:]
            cuts.append((cut.name, read_checkpoint(last)["global_step"]))
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said[-2000:]
    assert len(cuts) == kills
    assert len({step for _, step in cuts}) > 1, "the interruptions should come at different steps"
    assert sorted(path.name for path in runs.iterdir()) == ["version_0", "version_1"]
    assert_same_run(runs / "version_0", runs / "version_1")


@pytest.mark.reliability
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_r7_after_a_signal_a_run_ends_the_batch_saves_and_exits_within_five_seconds(number: int, code: int, fit, tmp_path: Path) -> None:
    words = ["fit", "--config", "ae", *DIGITS, *SMALL["ae"], *QUICK, "--trainer.max_epochs=100000"]
    process = start(tmp_path, *words)
    last = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints" / "last.ckpt"
    wait_for_training(process, last)
    time.sleep(1.0)
    began = time.monotonic()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - began <= 5
    assert process.returncode == code
    steps = int(said.split("stopped by ")[1].split(" after ")[1].split()[0])
    assert read_checkpoint(last)["global_step"] == steps > 0


@needs_mnist
@pytest.mark.reliability
def test_r7_a_signal_in_a_validation_of_mnist_ends_the_run_within_five_seconds(stop_at, tmp_path: Path) -> None:
    words = ["--config", "vqvae", "--trainer.limit_train_batches=2", *QUICK, *stop_at(2, how="signal in validation")]
    done = run_process("fit", *words, f"--data.init_args.root={mnist_root()}", cwd=tmp_path)
    assert time.time() - (tmp_path / "signalled").stat().st_mtime <= 5
    assert done.returncode == 143, done.stderr[-2000:]
    assert read_checkpoint(tmp_path / "logs" / "vqvae" / "mnist" / "version_0" / "checkpoints" / "last.ckpt")["global_step"] == 2


@pytest.mark.reliability
def test_r7_the_signal_may_come_from_the_timeout_command(tmp_path: Path) -> None:
    words = ["--config", "ae", *DIGITS, *SMALL["ae"], *QUICK, "--trainer.max_epochs=100000"]
    done = run_process("fit", *words, cwd=tmp_path, start=["timeout", "--preserve-status", "-s", "TERM", "25", LIGHTNING])
    assert done.returncode == 143, done.stderr[-2000:]
    last = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] > 0


@pytest.mark.reliability
def test_eight_runs_that_start_at_once_get_a_folder_each(tmp_path: Path) -> None:
    words = ["fit", "--config", "ae", *DIGITS, *SMALL["ae"], *QUICK, "--trainer.max_epochs=1", "--data.init_args.limit=64"]
    started = [start(tmp_path, *words) for _ in range(8)]
    for process in started:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said[-2000:]
    runs = sorted((tmp_path / "logs" / "ae" / DATA).iterdir())
    assert [run.name for run in runs] == [f"version_{number}" for number in range(8)]
    for run in runs:
        assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 1
        assert (run / "metrics.csv").is_file()
        assert len(list(run.glob("events.*"))) == 1
