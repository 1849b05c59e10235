"""A study trains, measures, resumes, survives a model that fails, and decides claims by the rules it states."""

import argparse
import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from datamodules import ImageDataModule
from datamodules.named import NAMES
from lit_models.command.arguments import seeds
from lit_models.study.columns import COLUMNS, columns_of
from lit_models.study.measuring import data_of_run, is_measured, measures_of
from lit_models.study.on_ray import check_resources, on_ray
from lit_models.study.plan import Plan, System, read_plan
from lit_models.training import configs

HALF_A_THRESHOLD = {"what": "a", "value": "b", "to": 1}
TOOLS = {"classifier", "gan_stacked", "vqvae_stacked"}  # configs that are no models under study: of the judge, and of stacked MNIST


def test_the_shipped_study_has_every_model_and_every_claim() -> None:
    plan = read_plan(configs.find("study"))
    assert [each.number for each in plan.claims] == list(range(1, 25))
    models = {name for name in configs.shipped() if "/" not in name} - TOOLS
    assert models == {system.config[0] for system in plan.systems.values()}
    assert {name for name, system in plan.systems.items() if len(system.seeds or plan.seeds) == 3} == {
        *("ae", "vae", "vae_conditional", "vqvae", "gan_conditional"),
    }
    for each in plan.claims:
        assert any(measure.compare for measure in each.measures), each.text
    quick = read_plan(configs.find("study_quick"))
    assert quick.claims == plan.claims
    assert (quick.dataset, quick.decided) == ("digits", False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"systems": {"ae": {"title": "AE", "config": ["ae"], "sampler_": "gmm"}}}, "did you mean sampler?"),
        ({"systems": {"ae": {"title": "AE"}}}, "expected config for systems: ae"),
        ({"claims": []}, "expected systems:"),
        ({"systems": {"ae": {"title": "A", "config": ["ae"]}}, "features": "clip"}, "expected features: own or inception"),
        (
            {"systems": {"ae": {"title": "A", "config": ["ae"]}}, "claims": [{"number": 1, "text": "x", "measures": [HALF_A_THRESHOLD]}]},
            "'<=' or '>='",
        ),
    ],
)  # fmt: skip
def test_a_plan_with_a_mistake_is_refused(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=r"(?s).+") as error:
        read_plan(tmp_path / "plan.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("expected ")
    assert len(str(error.value).splitlines()) in (2, 3)


def test_a_plan_extends_one_next_to_it_or_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: study_quick.yaml\nsamples: 200\n")
    mine, quick = read_plan(tmp_path / "mine.yaml"), read_plan(configs.find("study_quick"))
    assert mine == replace(quick, samples=200)
    (tmp_path / "further.yaml").write_text("extends: mine.yaml\ntitle: A further one\n")
    assert read_plan(tmp_path / "further.yaml") == replace(mine, title="A further one")
    (tmp_path / "study_quick.yaml").write_text("extends: study.yaml\nsamples: 100\n")
    assert read_plan(tmp_path / "mine.yaml") == replace(read_plan(configs.find("study")), samples=200), "the one next to it comes first"


def test_a_plan_adds_systems_to_those_of_another_one(tmp_path: Path) -> None:
    added = {"mine": {"title": "mine", "config": ["ae"]}, "ae": {"title": "my AE", "config": ["ae"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"extends": "study_quick", "systems+": added}))
    mine, quick = read_plan(tmp_path / "mine.yaml"), read_plan(configs.find("study_quick"))
    assert mine.systems.keys() == quick.systems.keys() | {"mine"}
    assert mine.systems["ae"].title == "my AE"
    assert mine.systems["vqvae"] == quick.systems["vqvae"]


@pytest.mark.parametrize("name", ["study", "study_fashion", "study_quick"])
def test_systems_of_shipped_plans_are_of_shipped_configs(name: str) -> None:
    plan = read_plan(configs.find(name))
    for system in plan.systems.values():
        assert all(configs.find(each).is_file() for each in system.config)
    assert plan.dataset in NAMES


def test_seeds_are_those_of_the_command_line_for_every_system() -> None:
    plan = read_plan(configs.find("study_quick"))
    assert {tuple(plan.seeds_of(system)) for system in plan.systems.values()} == {(0,), (0, 1)}
    assert {tuple(plan.with_seeds([3, 4]).seeds_of(system)) for system in plan.with_seeds([3, 4]).systems.values()} == {(3, 4)}
    for word, expected in (("3", [3]), ("0-9", list(range(10))), ("0,2,5", [0, 2, 5]), ("0-2,7,1", [0, 1, 2, 7])):
        assert seeds(word) == expected
    for word in ("", "a", "3-1", "-1", "1.5", "0--2"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected seeds such as 3, 0-9 or 0,2,5"):
            seeds(word)


def test_a_folder_has_one_study_at_a_time(lightning, tmp_path: Path, capsys) -> None:
    (tmp_path / "study").mkdir()
    with (tmp_path / "study" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert lightning("study", "--config", "study_quick") == 2
    said = capsys.readouterr().err
    assert "expected no other process at work in study" in said
    assert len(said.splitlines()) == 3
    assert not (tmp_path / "study" / "controls.json").exists()


def test_ray_is_asked_for_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = read_plan(configs.find("study_quick"))
    check_resources({"CPU": 2.0}, plan)
    for changed, message in (
        (replace(plan, cpus_per_task=3), "cpus_per_task expected at most the 2"),
        (replace(plan, gpus_per_task=0.5), "the 0"),
    ):
        with pytest.raises(ValueError, match=message):
            check_resources({"CPU": 2.0}, changed)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"(?s)--on ray expected Ray.+pip install 'lit-generative\[cluster\]'"):
        next(on_ray([], Path(), plan, None, ""))  # type: ignore[arg-type]


@pytest.mark.parametrize(("other", "message"), [("mine.yaml", "to name another plan"), ("study_quikc", "did you mean study_quick?")])
def test_a_plan_that_extends_itself_or_nothing_is_refused(other: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"extends: {other}\n")
    with pytest.raises(ValueError, match=r"(?s)expected .+") as error:
        read_plan(tmp_path / "mine.yaml")
    assert message in str(error.value)


def test_the_data_of_a_run_is_ours_and_has_the_images_of_the_run() -> None:
    data = ImageDataModule("digits", limit=20)
    data.setup()
    saved = {
        "run": {"data": "datamodules.ImageDataModule", "dataset": "digits"},
        "datamodule_hyper_parameters": dict(data.hparams),
        "ImageDataModule": data.state_dict(),
    }
    assert torch.equal(data_of_run(saved, "data").images("test")[0], data.images("test")[0])
    for other in ("datamodules_of_mine.ImageDataModule", "os.system"):
        with pytest.raises(ValueError, match="expected a run on one of our data modules"):
            data_of_run(saved | {"run": {"data": other, "dataset": "digits"}}, "data")
    with pytest.raises(ValueError, match="expected the images of digits"):
        data_of_run(saved | {"ImageDataModule": data.state_dict() | {"images_sha256": "0" * 64}}, "data")


def test_the_columns_are_those_of_the_spaces_that_a_study_has() -> None:
    assert [column for column in COLUMNS if column.key != "fid_inception"] == columns_of(["first", "second", "untrained"], False)
    headline = [column.key for column in COLUMNS if column.group == "headline"]
    judged = ["cas", "recognisable_gap", "nearer_to_training", "control"]
    assert headline == ["coverage", "kid", "kid_second", "kid_untrained", *judged]
    digits = columns_of(["untrained"], True)
    assert [column.key for column in digits if column.group == "headline"] == ["coverage_untrained", "kid_untrained", *judged]
    assert "fid_inception" in {column.key for column in digits}
    assert {column.better for column in COLUMNS if column.key in ("recognisable", "nearer_to_training")} == {None}


def test_measures_by_another_yardstick_are_made_again(tmp_path: Path) -> None:
    """As are those of other settings. Those of the same are kept, also if the training is gone: the measures alone travel."""
    system, yardstick = System("ae", "AE", ["ae"]), SimpleNamespace(sha256="new")
    plan = Plan({"ae": system}, [])
    file = measures_of(tmp_path, system, 0)
    file.parent.mkdir()
    same = {"yardstick": "new", "settings": ["ae", "mnist", "6.0"]}
    for content, expected in ((same, True), (same | {"yardstick": "old"}, False), (same | {"settings": ["ae"]}, False), ({}, False)):
        file.write_text(json.dumps(content))
        assert is_measured(tmp_path, system, 0, plan, yardstick) == expected


def cut_after_an_epoch(*words: str, cwd: Path) -> None:
    """Start the command and kill it, and the training that it has started, when there is a checkpoint."""
    study = subprocess.Popen([Path(sys.executable).parent / "lightning", *words], cwd=cwd, start_new_session=True)
    deadline = time.monotonic() + 300
    while not list(cwd.glob("study/runs/*/*/logs/*/*/version_*/checkpoints/last.ckpt")):
        assert time.monotonic() < deadline, "no checkpoint after five minutes"
        assert study.poll() is None, "the study has ended by itself"
        time.sleep(0.02)
    os.killpg(study.pid, signal.SIGKILL)
    study.wait()


def test_a_study_is_cut_resumes_and_outlives_a_model_that_fails(lightning, tmp_path: Path, capsys) -> None:
    """The real entry point, real trainings. The judge is none: measures that need one are n/a."""
    small = ["--model.channels=16"]
    content = {
        "dataset": "digits", "samples": 200, "samples_at_images": 100, "at_images": [500], "decided": False,
        "temperatures_of_curve": [0.5, 1.0],
        "systems": {
            "ae": {"title": "AE", "config": ["ae", "fast"], "options": small, "sampler": "gmm", "temperatures": [0.7]},
            "broken": {"title": "broken <model>", "config": ["ae", "fast"], "options": ["--model.latent_dim=-1"]},
        },
        "claims": [{"number": 1, "text": "errors are small", "measures": [{"what": "error", "value": "ae.mse", "compare": "<=", "to": 1}]}],
    }  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content))
    cut_after_an_epoch("study", "--config", "plan.yaml", "--only", "ae", cwd=tmp_path)
    assert lightning("study", "--config", "plan.yaml", "--only", "ae") == 0
    assert len(list((tmp_path / "study").glob("runs/ae/seed_0/logs/*/*/version_*"))) == 1, "the run is resumed"
    file = tmp_path / "study" / "measures" / "ae_seed_0.json"
    before = file.stat().st_mtime_ns
    assert lightning("study", "--config", "plan.yaml") == 1
    output = capsys.readouterr().out
    assert "broken, seed 0" in output
    assert "failed: " in output
    assert file.stat().st_mtime_ns == before, "what has been measured is not measured again"
    results = json.loads((tmp_path / "study" / "results.json").read_text())
    rows = {row["system"]: row for row in results["rows"] if row["main"]}
    assert "-1" in rows["broken"]["error"]
    assert 0 < rows["ae"]["values"]["mse"]["mean"] < 0.2
    assert "recognisable" not in rows["ae"]["values"]
    cell = rows["ae"]["values"]["kid_untrained"]
    assert cell["low"] < cell["mean"] < cell["high"]
    assert rows["ae"]["values"]["teraflops"]["mean"] > 0
    own = [row for row in results["rows"] if row["system"] == "ae"]
    assert [row["sampler"] for row in own][:2] == ["gmm", "gmm, temperature 0.7"]
    assert own[0]["values"]["kid_untrained"]["mean"] != own[1]["values"]["kid_untrained"]["mean"]
    labelled = {row["sampler"] for row in own if row["labelled"]}
    assert labelled == {row["sampler"] for row in own if "cas" in row["values"]}
    assert labelled == {"class_gaussian", "class_gmm", "centroids 0.25", "centroids 0.5", "centroids 1"}
    assert [point["temperature"] for point in results["knobs"][0]["points"]] == [0.5, 1.0]
    splits = {name: used["split"] for name, used in results["study"]["splits"].items()}
    assert splits == {"last measurement": "test", "snapshots and temperatures": "val"}
    assert len(results["study"]["yardstick"]["sha256"]) == 64
    assert [stage["images"] for stage in results["stages"]] == [500, 2000], "a snapshot, and the model that is kept"
    assert 0 < results["stages"][0]["seconds"] < rows["ae"]["values"]["seconds"]["mean"]
    assert results["claims"][0]["why"] == "not decided on digits"
    assert {picture["kind"] for picture in results["pictures"]} >= {"samples", "reconstructions", "centroids", "latents"}
    with (tmp_path / "study" / "results.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert {"system", "sampler", "mse", "kid_untrained_low", *(column.key for column in columns_of(["untrained"], False))} <= set(table[0])
    assert "broken &lt;model&gt;" in (tmp_path / "study" / "index.html").read_text()
    assert lightning("study", "--config", "plan.yaml", "--only", "vae") == 2
    assert "--only expected systems of the study: ae, broken" in capsys.readouterr().err
