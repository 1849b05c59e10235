"""What people expect of a command: help, lists, names, completion, one line per epoch, a doctor."""

import fcntl
import inspect
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pyte
import pytest
from conftest import DIGITS, LIGHTNING, ROOT, SMALL
from PIL import Image

from lit_models import MODELS
from lit_models.checkpoints.loading import imported
from lit_models.command import COMMANDS, completion
from lit_models.command.board_layout import describe_runs
from lit_models.command.fit_help import arguments_of


@pytest.fixture
def two_runs(fit, tmp_path: Path) -> list[Path]:
    assert fit("vae", "--model.beta=1", "--trainer.max_epochs=2") == 0
    assert fit("vae", "--model.beta=4", "--trainer.max_epochs=1", "--name=beta4") == 0
    return [tmp_path / "logs" / name / "digits" / "version_0" for name in ("vae", "vae+beta4")]


def test_a_name_is_in_the_folder_of_a_run_and_resumes_it(fit, two_runs: list[Path], capsys) -> None:
    assert all((run / "checkpoints" / "last.ckpt").is_file() for run in two_runs)
    assert fit("vae", "--model.beta=4", "--name=beta4", "--trainer.max_epochs=2", "--ckpt_path=last") == 0
    assert "resume   from logs/vae+beta4/digits/version_0" in capsys.readouterr().out
    assert not two_runs[1].with_name("version_1").exists()
    assert fit("vae", "--name=../elsewhere") == 2
    assert "--name expected letters, digits" in capsys.readouterr().err


def test_runs_lists_the_runs_as_a_table_and_as_objects(two_runs: list[Path], lightning, tmp_path: Path, capsys) -> None:
    capsys.readouterr()
    assert lightning("runs") == 0
    heads, *rows = capsys.readouterr().out.splitlines()
    assert heads.split() == ["config", "data", "epochs", "best", "age", "folder"]
    assert [row.split()[0] for row in rows] == ["vae", "vae+beta4"], "the newest last"
    assert [row.split()[2] for row in rows] == ["2", "1"]
    assert all(row.split()[-1].endswith("/digits/version_0") for row in rows)
    assert lightning("runs", "logs/vae/digits", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["folder"] == "logs/vae/digits/version_0"
    assert found["arguments"]["beta"] == 1
    assert found["best"] == min(found["best"], found["curves"]["val/loss"])
    assert lightning("runs", "nowhere") == 2
    (tmp_path / "empty").mkdir()
    assert lightning("runs", "empty") == 2


def test_a_damaged_run_hides_no_other(two_runs: list[Path], lightning, capsys) -> None:
    damaged, whole = two_runs
    (damaged / "config.yaml").write_text("model: [unclosed")
    with (damaged / "metrics.csv").open("ab") as stream:
        stream.write(b"7,8,\xff\xfe,1,2")
    capsys.readouterr()
    assert lightning("runs") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert {row[0] for row in rows} == {"vae", "vae+beta4"}
    assert next(row for row in rows if row[0] == "vae+beta4")[3] == "val/loss"
    describe_runs(whole.parents[2])  # and the board starts


def test_compare_shows_what_differs_and_samples_of_each_run(two_runs: list[Path], lightning, capsys, tmp_path: Path) -> None:
    capsys.readouterr()
    assert lightning("compare", *two_runs, "--num", 5) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["vae/digits/version_0", "vae+beta4/digits/version_0"]
    assert ["beta", "1", "4"] in [line.split() for line in lines]
    assert not any(line.startswith(("latent_dim", "batch_size")) for line in lines), "what is equal is left out"
    assert any(line.startswith("val/mse") for line in lines)
    picture = np.asarray(Image.open("compare.png"))
    assert picture.shape[0] > 2 * 58
    assert lightning("compare", two_runs[0]) == 2
    assert "lightning runs lists the runs" in capsys.readouterr().err


def test_compare_draws_what_sample_draws(two_runs: list[Path], lightning, capsys) -> None:
    """The first row of the picture is a grid of the same samples, pixel by pixel."""
    assert lightning("compare", *two_runs, "--num", 4) == 0
    assert lightning("sample", two_runs[0], "--num", 4, "--output", "samples.npz") == 0
    images = np.load("samples.npz")["images"]
    picture = np.asarray(Image.open("compare.png"))
    first = images[0].repeat(2, axis=0).repeat(2, axis=1)
    places = np.lib.stride_tricks.sliding_window_view(picture[..., 0], first.shape)
    assert (places == first).all(axis=(2, 3)).any()


def test_test_makes_a_table_of_several_runs_and_explains_its_measures(two_runs: list[Path], lightning, capsys) -> None:
    capsys.readouterr()
    assert lightning("test", *two_runs, "--samples", 100) == 0
    said = capsys.readouterr().out
    assert "in the features of fixed random convolutions" in said
    table = said[said.rindex("vae/digits/version_0") :].splitlines()
    assert "vae+beta4/digits/version_0" in table[0]
    (line,) = [line for line in table if line.startswith("val/mse")]
    values = [float(word) for word in line.split()[1:3]]
    printed = [float(word) for word in re.findall(r"^val/mse +(\S+)   ", said[: said.rindex("vae/digits/version_0")], flags=re.MULTILINE)]
    assert values == printed


def test_a_log_file_gets_one_line_per_epoch_and_nothing_below_the_next_steps(tmp_path: Path) -> None:
    words = ["fit", "--config", "vae", *DIGITS, *SMALL["vae"], "--trainer.max_epochs=3"]
    done = subprocess.run([LIGHTNING, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "\r" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.split()[1] for line in epochs] == ["1/3", "2/3", "3/3"]
    assert all("train/loss" in line and "val/loss" in line and line.split("   ")[-1].split()[1].startswith("s") for line in epochs)
    assert "left" in epochs[0]
    assert "left" not in epochs[2]
    assert lines[-1].strip().startswith("lightning test logs/vae/digits/version_0"), "the next steps come last"
    assert len(done.stdout) < 3000


def test_a_log_says_when_the_prior_begins(fit, capsys: pytest.CaptureFixture[str]) -> None:
    """From then on the losses are others."""
    assert fit("vqvae", "--trainer.max_epochs=2", "--model.autoencoder_steps=4") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("epoch ", "phase "))]
    assert [line.split()[0] for line in lines] == ["epoch", "phase", "epoch"]
    assert "2/2" in lines[1]


def test_a_terminal_has_a_bar_that_leaves_one_line_per_epoch(tmp_path: Path) -> None:
    words = ["fit", "--config", "vae", *DIGITS, *SMALL["vae"], "--trainer.max_epochs=2"]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    process = subprocess.Popen([LIGHTNING, *words], cwd=tmp_path, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    assert process.wait() == 0
    screen = pyte.Screen(120, 30)
    pyte.ByteStream(screen).feed(written)
    lines = [line.rstrip() for line in screen.display]
    assert "it/s" in written.decode(), "there is a bar"
    assert [line.split()[1] for line in lines if line.startswith("epoch ")] == ["1/2", "2/2"]
    assert not any("it/s" in line for line in lines), "and it leaves nothing behind"
    assert [line for line in lines if line][-1].strip().startswith("lightning test logs/")


@pytest.mark.parametrize("config", [None, *(name for name in (*MODELS, "gan_conditional", "latent_flow") if name != "classifier")])
def test_fit_help_begins_with_our_options_and_tells_a_models_arguments(config: str | None, lightning, capsys) -> None:
    assert lightning("fit", *(["--config", config] if config else []), "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("lightning fit --config NAME")
    assert any(line.startswith("  --ckpt_path last") for line in lines)
    assert len(lines) < 110
    if config:
        assert any(line.strip().startswith("lr ") for line in lines)


@pytest.mark.parametrize("path", sorted(set(MODELS.values())))
def test_the_arguments_in_the_help_are_those_of_the_class(path: str) -> None:
    found = inspect.signature(imported(path)).parameters
    assert [argument.name for argument in arguments_of(path)] == list(found)
    if not path.endswith("Classifier"):  # a part of the judge; its arguments need no words
        assert any(argument.meaning for argument in arguments_of(path))


def test_the_completion_knows_the_options_of_every_command(lightning, capsys) -> None:
    assert set(completion.OPTIONS) == {name for name in COMMANDS if name.isalpha()}
    for command in ("test", "predict", "sample", "runs", "compare", "study", "tune", "judge", "doctor", "export"):
        with pytest.raises(SystemExit):
            lightning(command, "--help")
        known = set(re.findall(r"^  (?:-\w.*)?(--[a-z_]+)", capsys.readouterr().out, flags=re.MULTILINE))
        assert set(completion.OPTIONS[command]) == known - {"--help"}, command


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lightning", "f"], {"fit"}),
        (["lightning", "fit", "--config", "vae_"], {"vae_2d", "vae_conditional", "vae_gan"}),
        (["lightning", "fit", "--data", "fash"], {"fashion_mnist"}),
        (["lightning", "sample", "--temp"], {"--temperature"}),
        (["lightning", "fit", "--model.bet"], {"--model.beta"}),
        (["lightning", "fit", "--ckpt_path", "l"], {"last"}),
        (["lightning", "completion", ""], {"bash", "zsh"}),
        (["lightning", "test", "lo"], {"logs"}),
    ],
)
def test_bash_completes_words_in_a_tenth_of_a_second(words: list[str], expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "completion.sh").write_text(completion.script())
    quoted = " ".join(f"'{word}'" for word in words)
    asks = f'source completion.sh; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _lightning; printf "%s\\n" "${{COMPREPLY[@]}}"'
    began = time.monotonic()
    done = subprocess.run(["bash", "-c", asks], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected
    assert time.monotonic() - began < 2, "no program is started for an answer"


def test_the_doctor_finds_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(**changes: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PATH": f"{LIGHTNING.parent}:/usr/bin:/bin"} | changes
        return subprocess.run(
            [sys.executable, "-m", "lit_models", "doctor"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
        )

    nothing = tmp_path / "nothing"
    nothing.mkdir()
    done = ask(MNIST_ROOT=str(nothing))
    assert done.returncode == 1
    assert re.search(r"^! data +digits in ", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^  torch +2\.", done.stdout, flags=re.MULTILINE)
    assert "GFLOP/s" in done.stdout
    foreign = tmp_path / "bin" / "lightning"
    foreign.parent.mkdir()
    foreign.write_text("#!/bin/sh\nexec lightning-sdk\n")
    foreign.chmod(0o755)
    done = ask(PATH=f"{foreign.parent}:{LIGHTNING.parent}:/usr/bin:/bin")
    assert re.search(rf"^! command +{foreign}", done.stdout, flags=re.MULTILINE)
    assert "-m lit_models" in done.stdout


def test_light_commands_answer_in_a_moment(tmp_path: Path) -> None:
    """They import nothing heavy; `test_command.py` holds that. Here they are named, with those of this file."""
    from test_command import light

    assert light("completion", "bash", cwd=tmp_path).returncode == 0
    assert light("fit", "--config", "vqvae", "--help", cwd=tmp_path).returncode == 0
    assert light("--help", cwd=tmp_path).stdout.startswith("lightning COMMAND")
    assert light("runs", cwd=tmp_path).returncode == 2
    assert (ROOT / "lit_models" / "py.typed").is_file()
