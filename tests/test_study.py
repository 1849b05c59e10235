"""A study trains, measures, resumes, survives a model that fails, and decides claims by the rules it states."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from datamodules import MNISTDataModule
from lit_models.study.claims import Measures, Unknown, decide
from lit_models.study.measuring import data_of_run
from lit_models.study.plan import Claim, Measure, Plan, System, read_plan
from lit_models.study.results import COLUMNS
from lit_models.training import configs

HALF_A_THRESHOLD = {"what": "a", "value": "b", "to": 1}
TOOLS = {"classifier"}  # a config that is no model under study


def measured(system: str = "ae", seed: int = 0, **values: Any) -> dict[str, Any]:
    return {
        "system": system, "seed": seed, "trained": {"images": 1000, "seconds": 10.0}, "parameters": 5, "decoder_parameters": 3,
        "codes": {"mse": 0.01}, "samplers": {"normal": {"recognisable": 0.5, "fid": 3.0}, "gmm 0.5": {"recognisable": 0.8, "fid": 1.0}},
        "responses": {"centroids": {"sigmas": [0.0, 0.5], "kept": [1.0, 0.4], "sigma50": 0.4}},
        "stages": [
            {"images": 130, "seconds": 1.0, "values": {"recognisable": 0.1}},
            {"images": 270, "seconds": 2.0, "values": {"recognisable": 0.2}},
        ],
        "last_scalars": {"val/loss": 7.0},
    } | values  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("ae.mse", 0.01),
        ("ae.recognisable", 0.5),
        ("ae:gmm 0.5.recognisable", 0.8),
        ("ae.centroids.kept@0.5", 0.4),
        ("ae.sigma50_centroids", 0.4),
        ("ae.stages.seconds@200", 2.0),
        ("ae.stages.recognisable@130", 0.1),
        ("ae.val/loss", 7.0),
        ("ae.seconds", 10.0),
        ("ae:gmm 0.5.recognisable - ae.recognisable", 0.3),
        ("ae:normal.fid / ae:gmm 0.5.fid", 3.0),
        ("least(ae:*.fid, vae:*.fid)", 1.0),
        ("most(*:normal.recognisable) - most(*:*.recognisable)", -0.2),
    ],
)
def test_an_expression_finds_its_value(expression: str, value: float) -> None:
    measures = Measures([measured(), measured("vae", samplers={"normal": {"recognisable": 0.6, "fid": 2.0}})], 10_000)
    assert measures.evaluate(expression).value == pytest.approx(value)


def test_most_of_a_pattern_looks_at_every_system() -> None:
    measures = Measures([measured(), measured("vae", samplers={"normal": {"recognisable": 0.6}})], 10_000)
    assert measures.evaluate("most(*:normal.recognisable)").value == 0.6


@pytest.mark.parametrize(
    "expression",
    [
        "vae.mse",
        "ae.nats",
        "ae:kde.recognisable",
        "ae.codes.kept@0.5",
        "ae.centroids.kept@9",
        "ae.stages.recognisable@9000",
        "least(b:*.fid)",
    ],
)
def test_an_expression_without_a_value_says_what_is_missing(expression: str) -> None:
    with pytest.raises(Unknown, match=r".+"):
        Measures([measured()], 10_000).evaluate(expression)


def test_intervals_hold_all_seeds_and_the_error_of_a_share() -> None:
    measures = Measures(
        [measured(seed=seed, samplers={"normal": {"recognisable": share}}) for seed, share in enumerate((0.4, 0.5, 0.6))], 2500
    )
    found = measures.evaluate("ae.recognisable")
    assert found.value == pytest.approx(0.5)
    assert found.high == pytest.approx(0.6 + 1.96 * 0.5 / 50)
    assert measures.evaluate("ae.mse").low == 0.01


def claim(*thresholds: float) -> Claim:
    return Claim(1, "a claim", [Measure("digits", "ae.recognisable", ">=", to) for to in thresholds])


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [((0.3,), "holds"), ((0.7,), "does not hold"), ((0.5,), "depends"), ((0.3, 0.7), "depends"), ((0.3, 0.2), "holds")],
)
def test_a_claim_holds_if_all_its_measures_do_over_their_intervals(thresholds: tuple[float, ...], verdict: str) -> None:
    plan = Plan({"ae": System("ae", "AE", ["ae"])}, [])
    found = decide(claim(*thresholds), Measures([measured()], 10_000), plan)
    assert found["verdict"] == verdict
    assert (verdict != "depends") or "digits" in found["why"]


def test_a_claim_without_a_value_or_on_a_trial_set_is_not_decided() -> None:
    systems = {"ae": System("ae", "AE", ["ae"])}
    assert decide(claim(0.3), Measures([], 10_000), Plan(systems, []))["verdict"] == "not decided"
    trial = decide(claim(0.3), Measures([measured()], 10_000), Plan(systems, [], dataset="digits", decided=False))
    assert (trial["verdict"], trial["why"]) == ("not decided", "not decided on digits")


def test_the_shipped_study_has_every_model_and_every_claim() -> None:
    plan = read_plan(configs.find("study"))
    assert [each.number for each in plan.claims] == list(range(1, 22))
    models = {name for name in configs.shipped() if "/" not in name} - TOOLS
    assert models == {system.config[0] for system in plan.systems.values()}
    assert {name for name, system in plan.systems.items() if len(system.seeds or plan.seeds) == 3} == {
        "ae",
        "vae",
        "vqvae",
        "gan_conditional",
    }
    assert plan.budget_minutes <= 6
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
        ({"systems": {"ae": {"title": "A", "config": ["ae"]}}, "features": "clip"}, "expected features: judge or inception"),
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


@pytest.mark.parametrize(("other", "message"), [("mine.yaml", "to name another plan"), ("study_quikc", "did you mean study_quick?")])
def test_a_plan_that_extends_itself_or_nothing_is_refused(other: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"extends: {other}\n")
    with pytest.raises(ValueError, match=r"(?s)expected .+") as error:
        read_plan(tmp_path / "mine.yaml")
    assert message in str(error.value)


def test_the_data_of_a_run_is_ours_and_has_the_images_of_the_run() -> None:
    data = MNISTDataModule("digits", limit=20)
    data.setup()
    saved = {
        "run": {"data": "datamodules.MNISTDataModule", "dataset": "digits"},
        "datamodule_hyper_parameters": dict(data.hparams),
        "MNISTDataModule": data.state_dict(),
    }
    assert torch.equal(data_of_run(saved, "data").images("test")[0], data.images("test")[0])
    for other in ("datamodules_of_mine.MNISTDataModule", "os.system"):
        with pytest.raises(ValueError, match="expected a run on one of our data modules"):
            data_of_run(saved | {"run": {"data": other, "dataset": "digits"}}, "data")
    with pytest.raises(ValueError, match="expected the images of digits"):
        data_of_run(saved | {"MNISTDataModule": data.state_dict() | {"images_sha256": "0" * 64}}, "data")


def cut_after_an_epoch(*words: str, cwd: Path) -> None:
    """Start the command and kill it, and the training that it has started, when there is a checkpoint."""
    study = subprocess.Popen([Path(sys.executable).parent / "lightning", *words], cwd=cwd, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(cwd.glob("study/runs/*/*/logs/*/*/version_*/checkpoints/last.ckpt")):
        assert time.monotonic() < deadline, "no checkpoint after two minutes"
        assert study.poll() is None, "the study has ended by itself"
        time.sleep(0.02)
    os.killpg(study.pid, signal.SIGKILL)
    study.wait()


def test_a_study_is_cut_resumes_and_outlives_a_model_that_fails(lightning, tmp_path: Path, capsys) -> None:
    """The real entry point, real trainings. The judge is none: measures that need one are n/a."""
    small = ["--model.channels=16"]
    content = {
        "dataset": "digits", "samples": 200, "samples_at_images": 100, "at_images": [500], "decided": False,
        "systems": {
            "ae": {"title": "AE", "config": ["ae", "fast"], "options": small},
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
    assert [stage["images"] for stage in results["stages"]] == [500, 2000], "a snapshot, and the model that is kept"
    assert 0 < results["stages"][0]["seconds"] < rows["ae"]["values"]["seconds"]["mean"]
    assert results["claims"][0]["why"] == "not decided on digits"
    assert {picture["kind"] for picture in results["pictures"]} >= {"samples", "reconstructions", "centroids", "latents"}
    with (tmp_path / "study" / "results.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert {"system", "sampler", "mse", *(column.key for column in COLUMNS)} - {"fid_inception"} <= set(table[0])
    assert "broken &lt;model&gt;" in (tmp_path / "study" / "index.html").read_text()
    assert lightning("study", "--config", "plan.yaml", "--only", "vae") == 2
    assert "--only expected systems of the study: ae, broken" in capsys.readouterr().err
