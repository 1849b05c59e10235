"""Checkpoints: whole or not there, damaged ones are known, and nothing is saved that is no number."""

import os
import random
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import assert_equal, run_process, state_of

from lit_models.archive import CheckpointError
from lit_models.checkpoint_io import AtomicCheckpointIO, read_checkpoint

# -- R4: killed while saving

SAVER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from lit_models.checkpoint_io import AtomicCheckpointIO

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
    env = os.environ | {"TMPDIR": str(other_file_system), "OMP_NUM_THREADS": "1"}
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


def test_r4_what_a_kill_has_left_is_gone_once_the_run_goes_on(fit, tmp_path: Path) -> None:
    fit("ae", "--trainer.max_epochs=1")
    folder = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints"
    (folder / ".last.ckpt.123.part").write_bytes(b"half")
    fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last")
    assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]


# -- R5: damaged


def damage(raw: bytes, drawn: random.Random) -> bytes:
    """One of the accidents that files have: a flipped bit, a lost block, an end too early, a spoilt beginning or end."""
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
def test_r5_a_damaged_checkpoint_is_refused_or_is_the_same_state(times: int, fit, tmp_path: Path) -> None:
    fit("ae", "--trainer.max_epochs=1")
    file = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints" / "last.ckpt"
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
    assert len(said) >= 0.7 * times  # the rest fell where nothing is, between parts, or changed nothing
    assert all(words.startswith(f"{spoilt} ") and len(words) > len(str(spoilt)) + 20 for words in said), "the file, and a reason"


def test_torch_by_itself_takes_damaged_tensors(tmp_path: Path) -> None:
    """The control: a flipped bit in the weights is not found by `torch.load`."""
    file = tmp_path / "file.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"weight": torch.zeros(10_000)}}, file)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 4
    file.write_bytes(raw)
    assert not torch.load(file, weights_only=True)["state_dict"]["weight"].eq(0).all()
    with pytest.raises(CheckpointError, match="does not have its checksum"):
        read_checkpoint(file)


# -- R6: last skips what is damaged


def spoil(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def test_r6_last_passes_over_a_damaged_file_and_names_both(fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=2")
    folder = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints"
    spoil(folder / "last.ckpt")
    assert fit("ae", "--trainer.max_epochs=3", "--ckpt_path=last") == 0
    said = capsys.readouterr().err
    assert "version_0/checkpoints/last.ckpt is no checkpoint, or a damaged one" in said
    assert "taking logs/ae/digits/version_0/checkpoints/best.ckpt instead" in said
    assert state_of(folder / "last.ckpt")["global_step"] == 12


def test_r6_only_damaged_files_or_none_are_an_error(fit, tmp_path: Path, capsys) -> None:
    assert fit("ae", "--ckpt_path=last") == 2
    assert "found none" in capsys.readouterr().err
    fit("ae", "--trainer.max_epochs=1")
    folder = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints"
    for file in folder.iterdir():
        spoil(file)
    assert fit("ae", "--trainer.max_epochs=3", "--ckpt_path=last") == 2
    said = capsys.readouterr().err
    assert "got only damaged ones" in said
    assert "last.ckpt" in said
    assert "best.ckpt" in said


# -- R8: a run is resumed as what it is


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--model=lit_models.anchored.AnchoredDecoder"], "model lit_models.ae.AE there"),
        (["--model.init_args.latent_dim=3"], "model.latent_dim 16 there, 3 here"),
        (["--data.init_args.batch_size=50"], "data.batch_size 64 there, 50 here"),
        (["--data.init_args.limit=200"], "data.limit 250 there, 200 here"),
        (["--data.init_args.seed=7"], "data.seed 0 there, 7 here"),
        (["--seed_everything=7"], "seed_everything 0 there, 7 here"),
    ],
    ids=["class", "size", "batch size", "images", "seed of the data", "seed"],
)
def test_r8_another_run_is_not_gone_on_with(change: list[str], named: str, fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    run = tmp_path / "logs" / "ae" / "digits" / "version_0"
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    code = fit("ae", "--trainer.max_epochs=2", *change, f"--ckpt_path={run}")
    assert code == 2
    assert named in capsys.readouterr().err
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_r8_noise_of_another_seed_is_not_gone_on_with(fit, tmp_path: Path, capsys) -> None:
    fit("vae", "--trainer.max_epochs=1")
    (tmp_path / "seed.yaml").write_text("trainer:\n  callbacks:\n    - {class_path: callbacks.SeedEachStep, init_args: {seed: 3}}\n")
    assert fit("vae", "--trainer.max_epochs=2", "--ckpt_path=last", "--config=seed.yaml") == 2
    assert "SeedEachStep.seed=0" in capsys.readouterr().err


def learning_rate(file: Path) -> float:
    return torch.load(file, weights_only=True)["optimizer_states"][0]["param_groups"][0]["lr"]


def test_r8_a_learning_rate_given_explicitly_is_taken_and_used(fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1", "--model.init_args.lr=1e-3")
    file = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints" / "last.ckpt"
    assert fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last") == 2  # the config's own, which nobody has asked for
    assert "model.lr 0.001 there" in capsys.readouterr().err
    before = learning_rate(file)
    assert fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last", "--model.lr=1e-4") == 0
    # Four steps into a warm-up of a hundred, then eight: (5 and 9) / 100 of the rate.
    assert before == pytest.approx(1e-3 * 5 / 100)
    assert learning_rate(file) == pytest.approx(1e-4 * 9 / 100)


# -- R13: no room, no right


def limited(words: list[str], cwd: Path, limit: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lightning"), *words]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=240, check=False, preexec_fn=limit)


WORDS = [
    "fit", "--config", "ae", "--data.dataset=digits", "--data.limit=250", "--data.epoch_images=null", "--trainer.accelerator=cpu",
    "--trainer.max_epochs=2",
]  # fmt: skip


def assert_short(said: str) -> None:
    assert len([line for line in said.splitlines() if line.startswith("lightning: ")]) == 3
    assert "Traceback" not in said


@pytest.mark.reliability
def test_r13_a_file_that_may_not_grow_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    done = limited(WORDS, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)))
    assert done.returncode == 2, done.stderr[-2000:]
    assert "File too large" in done.stderr
    assert_short(done.stderr)
    assert not list(tmp_path.glob("logs/**/*.ckpt"))


@pytest.mark.reliability
def test_r13_a_full_disk_is_an_error_and_older_files_stay_whole(tmp_path: Path) -> None:
    """A tmpfs of 1 MB in a mount namespace of its own: the checkpoint of the AE has more."""
    place = tmp_path / "small"
    place.mkdir()
    script = f"mount -t tmpfs -o size=1M none {place} && cd {place} && exec {Path(sys.executable).parent / 'lightning'} {' '.join(WORDS)}"
    done = run_process(cwd=tmp_path, start=["unshare", "-m", "sh", "-c", script])
    assert done.returncode == 2, done.stderr[-2000:]
    assert "No space left on device" in done.stderr


@pytest.mark.reliability
def test_r13_a_folder_that_cannot_be_written_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    place = tmp_path / "fixed"
    place.mkdir()
    script = f"mount -t tmpfs -o ro none {place} && cd {place} && exec {Path(sys.executable).parent / 'lightning'} {' '.join(WORDS)}"
    done = run_process(cwd=tmp_path, start=["unshare", "-m", "sh", "-c", script])
    assert done.returncode == 2, done.stderr[-2000:]
    assert "Read-only file system" in done.stderr
    assert_short(done.stderr)


@pytest.mark.reliability
def test_r13_a_folder_without_permission_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    """Another user's, without root's right to write everywhere."""
    place = tmp_path / "anothers"
    place.mkdir(mode=0o755)
    os.chown(place, 65534, 65534)
    no_root = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    done = run_process(*WORDS, cwd=place, start=[*no_root, Path(sys.executable).parent / "lightning"])
    assert done.returncode == 2, done.stderr[-2000:]
    assert "Permission denied" in done.stderr
    assert_short(done.stderr)


# -- R14: what is no number


@pytest.fixture
def spoiler(tmp_path: Path) -> Callable[..., list[str]]:
    (tmp_path / "spoiler.py").write_text(
        textwrap.dedent("""
            from lightning.pytorch import Callback

            class Spoil(Callback):
                def __init__(self, step: int, what: str):
                    self.step, self.what = step, what

                def on_before_optimizer_step(self, trainer, pl_module, optimizer):
                    if self.what == "gradient" and trainer.global_step == self.step:
                        next(pl_module.parameters()).grad[0] = float("nan")
                    if self.what == "codebook" and trainer.global_step == self.step:
                        pl_module.quantiser.codebook[3] = float("inf")
        """)
    )

    def words(step: int, what: str) -> list[str]:
        return ["--trainer.callbacks+=spoiler.Spoil", f"--trainer.callbacks.step={step}", f"--trainer.callbacks.what={what}"]

    return words


def finite(file: Path) -> bool:
    saved = read_checkpoint(file)
    tensors = [value for value in saved["state_dict"].values() if torch.is_tensor(value) and value.is_floating_point()]
    tensors += [
        value
        for optimizer in saved["optimizer_states"]
        for state in optimizer["state"].values()
        for value in state.values()
        if torch.is_tensor(value)
    ]
    return all(bool(value.isfinite().all()) for value in tensors)


@pytest.mark.parametrize(
    ("model", "what", "said"),
    [
        ("ae", "loss", "loss term"),
        ("gan", "loss", ""),
        ("vae", "gradient", ""),
        ("vqvae", "codebook", "buffer quantiser.codebook is inf"),
    ],
)
def test_r14_a_run_that_is_no_longer_finite_stops_and_saves_nothing_of_it(
    model: str, what: str, said: str, fit, spoiler, tmp_path: Path, capsys
) -> None:
    words = ["--model.init_args.lr=1e32"] if what == "loss" else spoiler(6, what)
    words += ["--model.init_args.autoencoder_steps=100"] if model == "vqvae" else []
    assert fit(model, "--trainer.max_epochs=5", "--trainer.log_every_n_steps=1", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "nan" in error or "inf" in error
    assert "with learning rate" in error
    step = int(error.split(" at step ")[1].split(",")[0])
    assert step <= (10 if what == "loss" else 16)
    run = tmp_path / "logs" / model / "digits" / "version_0"
    assert all(finite(file) for file in (run / "checkpoints").iterdir())
    assert "nan" not in (run / "metrics.csv").read_text() if (run / "metrics.csv").is_file() else True


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("vae", ["--model.init_args.beta=1000"], "the posterior has collapsed"),
        ("vqvae", ["--model.init_args.n_codes=4096", "--model.init_args.autoencoder_steps=100"], "the codebook has collapsed"),
        ("gan", ["--model.init_args.lr=1e-8"], "the generator has collapsed"),
    ],
)
def test_r14_a_collapse_is_said_once(model: str, words: list[str], said: str, fit, tmp_path: Path, capsys) -> None:
    early = ["--trainer.callbacks+=callbacks.WarnOfCollapse", "--trainer.callbacks.after_steps=60", "--trainer.max_epochs=20"]
    if model == "vqvae":  # twenty images of sixteen positions cannot use a tenth of 4,096 codes
        early[1:] = ["--trainer.callbacks.after_steps=4", "--trainer.max_epochs=6", "--data.init_args.limit=20"]
        early += ["--trainer.callbacks+=callbacks.CodebookUsage"]
    assert fit(model, *early, *words) == 0
    error = capsys.readouterr().err
    assert error.count(said) == 1
    assert "--model." in error
    assert fit(model, *early) == 0
    assert "collapsed" not in capsys.readouterr().err
