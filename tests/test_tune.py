"""Tuning: the search of each config, and trials that are cut, stopped early and resumed."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import ImageDataModule
from lit_models.evaluation.yardstick import yardstick_of
from lit_models.study import tuning
from lit_models.study.tuning import FIRST_LOOK, MOST, OBJECTIVE, search_of
from lit_models.training import configs

MODELS = [name for name in configs.shipped() if "/" not in name and "stacked" not in name and name != "classifier"]
SMALL = ("--data", "digits", "--images", "3000", "--samples", "150", "--model.channels=16")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_searched_in_the_same_kinds_of_numbers_about_its_defaults(name: str) -> None:
    search = search_of([name], [], "mnist", 1000)
    assert len(search.space) == 3 < MOST
    assert {"model.lr", "data.batch_size"} < search.space.keys()
    for option, within in search.space.items():
        default = search.defaults[option]
        assert default in within if isinstance(within, list) else within["low"] < default < within["high"], option
    assert search.space["model.lr"]["low"] * 4 == pytest.approx(search.defaults["model.lr"])
    assert search.space["model.lr"]["high"] / 4 == pytest.approx(search.defaults["model.lr"])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (None, "expected tune: with one to 4 options"),
        ({f"model.{number}": [1, 2] for number in range(5)}, "got 5"),
        ({"model.lr": {"low": 0, "high": 1}}, "expected {low, high} above 0 or a list of choices for model.lr"),
        ({"model.lr": [1]}, "expected {low, high} above 0"),
        ({"model.latent_dimm": [1, 2]}, "did you mean latent_dim?"),
        ({"trainer.max_epochs": [1, 2]}, "expected an option of model or data"),
    ],
)
def test_a_search_with_a_mistake_is_refused(space: object, message: str, tmp_path: Path) -> None:
    content = {"model": {"class_path": "lit_models.ae.AE"}} | ({"tune": space} if space else {})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=r"(?s)expected .+") as error:
        search_of([str(tmp_path / "mine.yaml")], [], "mnist", 1000)
    assert message in str(error.value)


def test_without_optuna_the_command_says_what_to_install(lightning, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert lightning("tune", "--config", "ae", *SMALL) == 2
    assert "pip install 'lit-generative[tune]'" in capsys.readouterr().err


def test_a_trial_that_is_behind_the_others_is_stopped_before_its_end(tmp_path: Path) -> None:
    search = search_of(["ae"], ["--model.channels=16"], "digits", 60_000)
    yardstick = yardstick_of("digits", ImageDataModule("digits").whole(), 100)
    reported = []

    def report(step: int, value: float) -> None:
        reported.append((step, value))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuning._objective(search, {"data.batch_size": 64}, tmp_path, yardstick, "data", report)
    assert [step for step, _ in reported] == [60_000 // FIRST_LOOK]
    (checkpoint,) = tmp_path.glob("trials/*/logs/*/*/*/checkpoints/last.ckpt")
    steps = tuning.open_checkpoint(checkpoint)[1]["global_step"]
    assert 20_000 // 64 <= steps < 60_000 // 64, "the training was stopped in its middle, and saved"


@pytest.mark.reliability
def test_a_search_that_is_killed_goes_on_with_the_trial_that_was_cut(lightning, tmp_path: Path, capsys) -> None:
    words = ["tune", "--config", "ae", *SMALL]
    command = [str(Path(sys.executable).with_name("lightning")), *words, "--trials", "2"]
    search = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert search.stdout is not None
    assert "trial 0: " in search.stdout.readline()
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "tuning/ae/trials").iterdir())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(search.pid, signal.SIGKILL)
    search.wait()

    assert lightning(*words, "--trials", "2") == 0
    said = capsys.readouterr().out
    assert "next     lightning fit --config ae --model.lr=" in said
    with (tmp_path / "tuning/ae/trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    done = [row for row in rows if row["state"] in ("complete", "pruned")]
    assert len(done) == 2
    first = next(row for row in rows if row["trial"] == "0")
    assert (float(first["model.lr"]), first["model.latent_dim"], first["data.batch_size"]) == (8e-3, "16", "128"), "the defaults"
    assert len(list((tmp_path / "tuning/ae/trials").iterdir())) == 2, "the cut trial has the same values again"
    values = [float(row[OBJECTIVE]) for row in rows if row["state"] == "complete"]
    assert values == sorted(values)
    events = EventAccumulator(str(tmp_path / "tuning/ae/tensorboard/trial_000")).Reload()
    assert OBJECTIVE in events.Tags()["scalars"]

    before = sorted((tmp_path / "tuning/ae/trials").rglob("*.ckpt"))
    table = (tmp_path / "tuning/ae/trials.csv").read_text()
    assert lightning(*words, "--trials", "2") == 0
    assert sorted((tmp_path / "tuning/ae/trials").rglob("*.ckpt")) == before, "nothing is trained anew"
    assert (tmp_path / "tuning/ae/trials.csv").read_text() == table, "no trial is added"
    assert lightning(*words, "--trials", "3") == 0
    assert len(list((tmp_path / "tuning/ae/trials").iterdir())) == 3, "a search that goes on draws values that it has not had"


@pytest.mark.reliability
def test_later_configs_are_overlays_as_those_of_fit(lightning, tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_text("model: {init_args: {latent_dim: 5}}\ntrainer: {log_every_n_steps: 1}\n")
    (tmp_path / "mine.yaml").write_text("model: {class_path: lit_models.ae.AE}\ntune: {data.batch_size: [64, 128]}\n")
    assert lightning("tune", "--config", "mine.yaml", "--config", "wide.yaml", *SMALL, "--trials", "1") == 0
    (run,) = tmp_path.glob("tuning/mine+wide/trials/*/logs/*/*/version_0/config.yaml")
    assert yaml.safe_load(run.read_text())["model"]["init_args"]["latent_dim"] == 5
