"""What a newcomer with the README alone tripped over."""

import subprocess
from pathlib import Path

import pytest
from conftest import DIGITS, LIGHTNING, SMALL

from lit_models.command.compare import without_common_end


@pytest.fixture
def run(fit, tmp_path: Path, capsys) -> Path:
    assert fit("vae", "--model.beta=4", "--name=beta4", "--trainer.max_epochs=1") == 0
    capsys.readouterr()
    return tmp_path / "logs" / "vae+beta4" / "digits" / "version_0"


@pytest.mark.parametrize("how", ["logs/vae+beta4/digits/version_0", "logs/vae+beta4/digits", "logs/vae+beta4", "last.ckpt"])
def test_a_run_is_resumed_by_its_folder_alone(how: str, run: Path, lightning, capsys) -> None:
    place = run / "checkpoints" / "last.ckpt" if how == "last.ckpt" else how
    assert lightning("fit", "--ckpt_path", place, "--trainer.max_epochs=2") == 0
    said = capsys.readouterr().out
    assert "resume   from" in said
    assert "epoch    2/2" in said
    assert [each.name for each in run.parent.iterdir()] == ["version_0"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "vqvae"], "vqvae --pretrained"),
        (["sample", "vqvea", "--pretrained"], "did you mean vqvae?"),
        (["sample", "logs/vae+beta5/digits"], "did you mean logs/vae+beta4/digits?"),
        (["fit", "--config", "vae", "--max_epochs", "1"], "did you mean --trainer.max_epochs?"),
        (["fit", "--config", "vae", "--trainer.max_epoch", "1"], "did you mean max_epochs?"),
        (["sample", "logs", "--tempera", "0.5"], "did you mean --temperature?"),
    ],
)
def test_a_mistake_is_answered_by_what_was_meant(words: list[str], said: str, run: Path, lightning, capsys) -> None:
    assert lightning(*words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) <= 3


def test_the_newest_run_of_all_is_that_of_the_folder_of_all_runs(run: Path, lightning, tmp_path: Path) -> None:
    assert lightning("sample", "logs", "--output", "samples.png") == 0
    assert (tmp_path / "samples.png").is_file()


def test_a_reader_that_has_seen_enough_gets_no_traceback(run: Path, tmp_path: Path) -> None:
    for words in (["runs"], ["configs"], ["compare", str(run), str(run)], ["fit", "--config", "vae", "--help"]):
        piped = f"'{LIGHTNING}' {' '.join(words)} | head -1"
        done = subprocess.run(["bash", "-c", piped], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, words
        assert "BrokenPipe" not in done.stderr, words


def test_no_measure_of_validation_images_is_said_to_be_of_test_images(run: Path, lightning, capsys) -> None:
    assert lightning("test", run, run, "--samples", 100) == 0
    said = capsys.readouterr().out
    assert "test images" not in said
    table = said[said.rindex("vae+beta4/digits/version_0  ") :]
    assert "kl_by_number" not in table
    assert max(map(len, table.splitlines())) < 220


def test_names_of_runs_lose_what_all_share() -> None:
    assert without_common_end(["vae/mnist/version_0", "vae+beta4/mnist/version_0"]) == ["vae", "vae+beta4"]
    assert without_common_end(["vae/mnist/version_0", "vae/mnist/version_1"]) == ["vae/mnist/version_0", "vae/mnist/version_1"]
    assert without_common_end(["a", "b"]) == ["a", "b"]


def test_options_are_not_abbreviated(lightning, tmp_path: Path, capsys) -> None:
    assert lightning("fit", "--config", "vae", *DIGITS, *SMALL["vae"], "--model.init_args.bet=4") == 2
    assert lightning("runs", "--jso") == 2
    assert not (tmp_path / "logs").exists()
