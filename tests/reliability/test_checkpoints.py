"""R4, R5, R6, R8: checkpoints are never torn, damaged ones are refused, and a run is resumed only with its own settings."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import DATA, assert_equal, one_thread, state_of

from lit_models.checkpoints.archive import CheckpointError
from lit_models.checkpoints.atomic_io import AtomicCheckpointIO, read_checkpoint

# -- R4: killed while saving

SAVER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from lit_models.checkpoints.atomic_io import AtomicCheckpointIO

torch.set_num_threads(1)
file, kills = Path(sys.argv[1]), int(sys.argv[2])
drawn = random.Random(0)
state = {"state_dict": {str(number): torch.full((50_000,), float(number)) for number in range(4)}}
for kill in range(kills):
    child = os.fork()
    if child == 0:
        step = 0
        while True:
            AtomicCheckpointIO().save_checkpoint(state | {"global_step": step}, file)
            step += 1
    time.sleep(drawn.uniform(0.005, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print("ok", flush=True)
"""


def kill_while_saving(file: Path, kills: int) -> None:
    other_file_system = Path("/dev/shm") if Path("/dev/shm").is_dir() else file.parent
    words = [sys.executable, "-c", SAVER, file, str(kills)]
    env = one_thread() | {"TMPDIR": str(other_file_system)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.count("ok") == kills


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.reliability)])
def test_r4_a_kill_while_saving_leaves_a_whole_file(kills: int, tmp_path: Path) -> None:
    file = tmp_path / "version_0" / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, "global_step": -1}, file)
    kill_while_saving(file, kills)
    assert read_checkpoint(file)["global_step"] >= 0
    names = {path.name for path in file.parent.iterdir()}
    assert all(name == "last.ckpt" or name.startswith(".last.ckpt.") for name in names)
    assert not any(path.is_symlink() for path in file.parent.iterdir())


def test_r4_the_partial_file_of_a_killed_run_is_removed_once_the_run_is_resumed(fit, tmp_path: Path) -> None:
    fit("ae", "--trainer.max_epochs=1")
    folder = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints"
    (folder / ".last.ckpt.123.part").write_bytes(b"half")
    fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last")
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]


# -- R5: damaged files


def damage(raw: bytes, drawn: random.Random) -> bytes:
    """Damage a file at random: a flipped bit, a lost block, a truncated file, a corrupted byte near its start or end."""
    place, changed = drawn.randrange(len(raw)), bytearray(raw)
    kind = drawn.choice(("bit", "zeros", "noise", "truncated", "head", "tail"))
    if kind == "bit":
        changed[place] ^= 1 << drawn.randrange(8)
    elif kind in ("zeros", "noise"):
        length = min(drawn.choice((16, 512, 4096)), len(raw) - place)
        changed[place : place + length] = bytes(length) if kind == "zeros" else drawn.randbytes(length)
    elif kind == "truncated":
        del changed[place:]
    else:
        where = drawn.randrange(64) if kind == "head" else len(raw) - 1 - drawn.randrange(256)
        changed[where] ^= drawn.randrange(1, 256)
    return bytes(changed)


@pytest.mark.parametrize("times", [100, pytest.param(1000, marks=pytest.mark.reliability)])
def test_r5_a_damaged_checkpoint_is_refused_or_holds_the_same_state(times: int, fit, tmp_path: Path) -> None:
    fit("ae", "--trainer.max_epochs=1")
    file = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints" / "last.ckpt"
    raw, original, drawn = file.read_bytes(), read_checkpoint(file), random.Random(0)
    spoilt, said = tmp_path / "spoilt.ckpt", []
    for _ in range(times):
        changed = damage(raw, drawn)
        spoilt.write_bytes(changed)
        try:
            found = read_checkpoint(spoilt)
        except CheckpointError as error:
            said.append(str(error))
        else:
            assert_equal(found, original)
    assert len(said) >= 0.7 * times  # the other damages are in the padding between parts, or changed nothing
    assert all(words.startswith(f"{spoilt} ") and len(words) > len(str(spoilt)) + 20 for words in said), "no file or no reason in a message"


def test_torch_itself_loads_damaged_tensors(tmp_path: Path) -> None:
    """The control: `torch.load` does not detect a flipped bit in the weights."""
    file = tmp_path / "file.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"weight": torch.zeros(10_000)}}, file)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 4
    file.write_bytes(raw)
    assert not torch.load(file, weights_only=True)["state_dict"]["weight"].eq(0).all()
    with pytest.raises(CheckpointError, match="does not have its checksum"):
        read_checkpoint(file)


# -- R6: `last` skips damaged files


def spoil(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def test_r6_last_skips_a_damaged_file_and_names_it_and_the_chosen_one(fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=2")
    folder = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints"
    spoil(folder / "last.ckpt")
    assert fit("ae", "--trainer.max_epochs=3", "--ckpt_path=last") == 0
    said = capsys.readouterr().err
    assert "version_0/checkpoints/last.ckpt is no checkpoint, or a damaged one" in said
    assert f"taking logs/ae/{DATA}/version_0/checkpoints/best.ckpt instead" in said
    assert state_of(folder / "last.ckpt")["global_step"] == 12


def test_r6_it_is_an_error_if_all_files_are_damaged_or_none_exists(fit, tmp_path: Path, capsys) -> None:
    assert fit("ae", "--ckpt_path=last") == 2
    assert "found none" in capsys.readouterr().err
    fit("ae", "--trainer.max_epochs=1")
    folder = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints"
    for file in folder.iterdir():
        spoil(file)
    assert fit("ae", "--trainer.max_epochs=3", "--ckpt_path=last") == 2
    said = capsys.readouterr().err
    assert "got only damaged ones" in said
    assert "last.ckpt" in said
    assert "best.ckpt" in said


# -- R8: a run is resumed only with its own settings


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--model=lit_models.vae.VAE"], "model lit_models.ae.AE there"),
        (["--model.init_args.latent_dim=3"], "model.latent_dim 16 there, 3 here"),
        (["--data.init_args.batch_size=50"], "data.batch_size 64 there, 50 here"),
        (["--data.init_args.limit=200"], "data.limit 250 there, 200 here"),
        (["--data.init_args.seed=7"], "data.seed 0 there, 7 here"),
        (["--seed_everything=7"], "seed_everything 0 there, 7 here"),
    ],
    ids=["class", "size", "batch size", "images", "seed of the data", "seed"],
)
def test_r8_resuming_with_other_settings_is_refused(change: list[str], named: str, fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    run = tmp_path / "logs" / "ae" / DATA / "version_0"
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    code = fit("ae", "--trainer.max_epochs=2", *change, f"--ckpt_path={run}")
    assert code == 2
    assert named in capsys.readouterr().err
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_r8_resuming_with_another_seed_of_the_noise_is_refused(fit, tmp_path: Path, capsys) -> None:
    fit("vae", "--trainer.max_epochs=1")
    (tmp_path / "seed.yaml").write_text("trainer:\n  callbacks:\n    - {class_path: callbacks.SeedEachStep, init_args: {seed: 3}}\n")
    assert fit("vae", "--trainer.max_epochs=2", "--ckpt_path=last", "--config=seed.yaml") == 2
    assert "SeedEachStep.seed=0" in capsys.readouterr().err


def learning_rate(file: Path) -> float:
    return torch.load(file, weights_only=True)["optimizer_states"][0]["param_groups"][0]["lr"]


def test_r8_a_learning_rate_given_on_the_command_line_is_accepted_and_used(fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1", "--model.init_args.lr=1e-3")
    file = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints" / "last.ckpt"
    assert fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last") == 2  # the config's own rate, which is not on the command line
    assert "model.lr 0.001 there" in capsys.readouterr().err
    before = learning_rate(file)
    assert fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last", "--model.lr=1e-4") == 0
    # After four and after eight steps of a warm-up over a hundred, the rate is 5 / 100 and 9 / 100 of the full rate.
    assert before == pytest.approx(1e-3 * 5 / 100)
    assert learning_rate(file) == pytest.approx(1e-4 * 9 / 100)
