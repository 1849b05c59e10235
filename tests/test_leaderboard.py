"""A row of the leaderboard is one file that can be checked without training, and that is written only if the quality is reached."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import leaderboard
from benchmarks.leaderboard import COVERAGE, complaints, missed, table, tracks, train_and_measure, work
from datamodules import ImageDataModule
from lit_models.checkpoints.loading import open_checkpoint
from lit_models.evaluation import yardstick_of
from lit_models.evaluation.yardstick import hash_of_shipped
from tests.builders import SMALL

GOOD: dict[str, Any] = {
    **{"title": "VAE/GAN", "by": "us", "config": ["vae_gan"], "options": [], "sampler": "class_gmm", "steps": 1700, "seed": 0},
    **{"machine": "a processor, 2 threads, 150 GFLOP/s in fp32 matrix products", "seconds": 120, "gflops": 150.0, "megabytes": 2.0},
    **{"one_step": True, "yardstick": hash_of_shipped("mnist"), "floors": {"first": 4.0, "second": 3.0, "untrained": 7.0}},
    "values": {"coverage": 0.93, "kid": 9.6, "kid_second": 5.4, "kid_untrained": 17.8, "recognisable": 0.93},
}


def test_the_rows_of_the_repository_are_well(capsys) -> None:
    assert leaderboard.check(leaderboard.ROWS) == 0, capsys.readouterr().out
    assert list(leaderboard.ROWS.glob("*.json")), "a leaderboard begins with a row"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"yardstick": "0" * 64}, "expected measures by the yardstick"),
        ({"config": ["no_such_config"]}, "expected a config that lightning fit takes"),
        ({"options": ["--model.no_such=1"]}, "expected a config that lightning fit takes"),
        ({"seconds": 0}, "above 0"),
        ({"seconds": "120"}, "another kind of value for seconds"),
        ({"values": GOOD["values"] | {"coverage": 0.899}}, "expected a coverage of 0.90 or more, got 0.899"),
        ({"values": GOOD["values"] | {"kid_untrained": 21.1}}, "expected KID (untrained) <= 21.0, 3 floors, got 21.1"),
        ({"values": GOOD["values"] | {"kid": float("nan")}}, "expected KID <= 12.0"),
        ({"values": GOOD["values"] | {"kid": None}}, "expected a number as kid of values"),
        ({"floors": {}}, "expected a number as second of floors"),
        ({"more": 1}, "expected the keys"),
    ],
)
def test_a_row_that_is_not_well_is_named(change: dict[str, Any], said: str) -> None:
    assert not complaints(GOOD, hash_of_shipped("mnist"))
    assert any(said in each for each in complaints(copy.deepcopy(GOOD) | change, hash_of_shipped("mnist")))


def test_the_tracks_of_a_row_follow_from_its_limits_and_its_work_from_seconds_and_rate() -> None:
    assert work(GOOD) == 18
    assert tracks(GOOD) == ["six CPU minutes", "one step"]
    assert tracks(GOOD | {"seconds": 361, "one_step": False, "megabytes": 1.0}) == ["1 MB of weights"]
    assert not tracks(GOOD | {"machine": "a GPU", "one_step": False}), "a GPU has no CPU minutes"
    assert table({"row": GOOD}).count("\n") == 3


def test_the_table_must_be_that_of_the_rows(tmp_path: Path, capsys) -> None:
    (tmp_path / "README.md").write_text((leaderboard.ROWS / "README.md").read_text())
    (tmp_path / "row.json").write_text(json.dumps(GOOD))
    assert leaderboard.check(tmp_path) == 1
    assert "expected the table of the rows" in capsys.readouterr().out
    leaderboard.write_table(tmp_path)
    assert leaderboard.check(tmp_path) == 0
    assert "[VAE/GAN](row.json)" in (tmp_path / "README.md").read_text()
    (tmp_path / "empty.json").write_text("{}")
    assert leaderboard.check(tmp_path) == 1
    assert "empty: expected the keys" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "sampler", "once"),
    [
        ("ae", "gmm", True),
        pytest.param("vqvae", "autoregressive", False, marks=pytest.mark.by_hand),
        pytest.param("flow", "own", False, marks=pytest.mark.by_hand),
    ],
)
def test_a_real_training_is_measured_and_bad_samples_are_refused(name: str, sampler: str, once: bool, tmp_path: Path) -> None:
    yardstick = yardstick_of("digits", ImageDataModule("digits").whole(), 100, "test")
    options = [f"--model.{key}={value}" for key, value in SMALL[name][1].items()]
    asked = {"title": name, "by": "a test", "config": [name, "fast"], "options": [*options, "--data.batch_size=32"], "sampler": sampler}
    row = train_and_measure(asked | {"steps": 4, "seed": 0}, tmp_path, str(tmp_path), yardstick, "digits")
    assert row["one_step"] is once
    assert row["megabytes"] == pytest.approx(4e-6 * parameters(tmp_path), abs=1e-3)
    assert row["seconds"] > 0
    assert any(f"coverage of {COVERAGE:.2f}" in each for each in missed(row))


def parameters(folder: Path) -> int:
    model, _ = open_checkpoint(next(folder.rglob("last.ckpt")))
    return sum(parameter.numel() for parameter in model.parameters())
