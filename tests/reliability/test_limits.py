"""R13: a full disk or a missing right to write is an error in three lines, before the first step or at the first save."""

import os
from pathlib import Path

import pytest
from conftest import DATA, DATASET, LIGHTNING, run_process

pytestmark = pytest.mark.reliability

WORDS = [
    "fit", "--config", "ae", f"--data.dataset={DATASET}", "--data.limit=250", "--data.epoch_images=null", "--trainer.accelerator=cpu",
]  # fmt: skip
NO_LARGE_FILE = ["prlimit", "--fsize=200000", LIGHTNING]


def assert_short(said: str) -> None:
    assert len([line for line in said.splitlines() if line.startswith("lightning: ")]) == 3
    assert "Traceback" not in said


def test_r13_a_limit_on_the_file_size_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    done = run_process(*WORDS, "--trainer.max_epochs=2", cwd=tmp_path, start=NO_LARGE_FILE)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "File too large" in done.stderr
    assert_short(done.stderr)
    assert not list(tmp_path.glob("logs/**/*.ckpt"))


def test_r13_a_save_without_room_leaves_the_older_files_whole(lightning, tmp_path: Path) -> None:
    assert lightning(*WORDS, "--trainer.max_epochs=1") == 0
    folder = tmp_path / "logs" / "ae" / DATA / "version_0" / "checkpoints"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    done = run_process(*WORDS, "--trainer.max_epochs=2", "--ckpt_path=last", cwd=tmp_path, start=NO_LARGE_FILE)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "File too large" in done.stderr
    assert_short(done.stderr)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("option", "said"),
    [("size=1M", "No space left on device"), ("ro", "Read-only file system")],
    ids=["1 MB, and the checkpoint has more", "a read-only mount"],
)
def test_r13_a_disk_that_cannot_be_written_is_an_error_before_the_first_step(option: str, said: str, tmp_path: Path) -> None:
    """The command runs in a mount namespace of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = f"{LIGHTNING} {' '.join(WORDS)} --trainer.max_epochs=2"
    script = f"mount -t tmpfs -o {option} none {place} && cd {place} && exec {command}"
    done = run_process(cwd=tmp_path, start=["unshare", "-m", "sh", "-c", script])
    assert done.returncode == 2, done.stderr[-2000:]
    assert said in done.stderr
    assert_short(done.stderr)


def test_r13_a_folder_without_permission_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    """The folder belongs to another user, and the command does not have root's right to write everywhere."""
    place = tmp_path / "anothers"
    place.mkdir(mode=0o755)
    os.chown(place, 65534, 65534)
    no_root = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    done = run_process(*WORDS, "--trainer.max_epochs=2", cwd=place, start=[*no_root, LIGHTNING])
    assert done.returncode == 2, done.stderr[-2000:]
    assert "Permission denied" in done.stderr
    assert_short(done.stderr)
