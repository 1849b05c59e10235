"""`lightning study --add` puts a model of the user's own beside the shipped measures, and its page says what was found."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lit_models.study import shipped
from lit_models.study.findings import findings
from lit_models.study.plan import Plan, System
from lit_models.study.rows import command
from lit_models.study.settings import agree, begun_as, contents_of, settings_of
from lit_models.study.training import folder_of, train, trained
from lit_models.training import configs

PLAN = {
    "dataset": "digits", "samples": 100, "samples_at_images": 100, "at_images": [500], "temperatures_of_curve": [], "decided": False,
    "systems": {"ae": {"title": "AE", "config": ["ae", "fast"], "options": ["--model.channels=16"]}},
}  # fmt: skip


@pytest.mark.by_hand
def test_an_added_model_alone_is_trained_and_stands_in_the_table_of_all(lightning, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    assert lightning("study", "--config", "plan.yaml", "--output", "first") == 0
    monkeypatch.setattr(shipped, "RESULTS", tmp_path / "first")
    mine = {"model": {"class_path": "lit_models.vae.VAE", "init_args": {"channels": 16}}, "trainer": {"max_steps": 20}}
    (tmp_path / "mymodel.yaml").write_text(yaml.safe_dump(mine))
    capsys.readouterr()
    assert lightning("study", "--config", "plan.yaml", "--add", "mymodel.yaml") == 0
    assert "[1/1] mymodel, seed 0: trained in" in capsys.readouterr().out
    rows = {row["system"]: row for row in json.loads((tmp_path / "study/results.json").read_text())["rows"] if row["main"]}
    before = {row["system"]: row for row in json.loads((tmp_path / "first/results.json").read_text())["rows"] if row["main"]}
    assert rows.keys() == {"ae", "mymodel"}
    assert rows["ae"]["values"] == before["ae"]["values"]
    assert rows["mymodel"]["values"]["kid_untrained"]["mean"] > 0
    assert not list((tmp_path / "study/runs").glob("ae*"))
    changed = json.loads((tmp_path / "first/measures/ae_seed_0.json").read_text()) | {"yardstick": "another one"}
    (tmp_path / "first/measures/ae_seed_0.json").write_text(json.dumps(changed))
    assert lightning("study", "--config", "plan.yaml", "--add", "mymodel.yaml", "--output", "second") == 0
    rows = {row["system"]: row for row in json.loads((tmp_path / "second/results.json").read_text())["rows"] if row["main"]}
    assert rows["ae"]["error"] == "not trained yet", "measures by another yardstick do not compare"
    for words, message in ((["vae"], "expected the measures of the shipped study"), (["ae"], "--add expected names that the study lacks")):
        shutil.rmtree(tmp_path / "first", ignore_errors=True)
        assert lightning("study", "--config", "plan.yaml", "--output", "third", "--add", *words) == 2
        assert message in capsys.readouterr().err


def test_what_an_edited_config_made_is_made_again(tmp_path: Path) -> None:
    """Real trainings. A comment changes nothing, another default in the file does: the old training is replaced, not resumed."""
    file = tmp_path / "mymodel.yaml"
    first = "model: {class_path: lit_models.ae.AE, init_args: {channels: 16, lr: 0.002}}\ntrainer: {max_steps: 3}\n"
    file.write_text(first)
    system = System("mymodel", "mine", [str(file)])
    plan = Plan({"mymodel": system}, [], dataset="digits")
    train(tmp_path, system, 0, plan, "data")
    folder = folder_of(tmp_path, system, 0)
    assert trained(folder, system, plan)
    for text, expected in (
        (f"# my first model\n{first}tune: {{model.lr: [0.1, 0.2]}}\n", True),
        (first.replace("0.002", "0.01"), False),
        (first + "data: {init_args: {batch_size: 64}}\n", False),
    ):
        file.write_text(text)
        assert trained(folder, system, plan) == expected
    train(tmp_path, system, 0, plan, "data")
    (run,) = folder.glob("logs/*/*/version_*")
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (saved["global_step"], saved["datamodule_hyper_parameters"]["batch_size"]) == (3, 64)
    again, longer = settings_of(system, plan), replace(plan, budget_minutes=60)
    assert begun_as(system, plan) == begun_as(system, longer), "a training that needs more minutes is resumed"
    assert not agree(again, settings_of(system, longer))
    assert agree(again[:-1], again), "older measures do not say what the configs contained"


def test_a_search_begins_anew_if_its_interval_or_its_model_changes(tmp_path: Path) -> None:
    """Not if only a default does that is searched: it may become the one that was found."""
    file = tmp_path / "mymodel.yaml"
    text = (configs.SHIPPED / "vae_conditional.yaml").read_text()
    system, known = System("mymodel", "mine", [str(file)]), []
    for changed in (
        text,
        text.replace("lr: 5.0e-3", "lr: 4.0e-3"),
        text.replace("high: 4.0", "high: 2.0"),
        text.replace("epochs: 6", "epochs: 7"),
    ):
        file.write_text(changed)
        known.append(contents_of(system, without=configs.read(file)["tune"]))
    assert [each == known[0] for each in known] == [True, True, False, False]


def test_a_row_has_the_command_that_trains_it() -> None:
    system = System("ae_60s", "AE", ["ae", "fast"], ["--model.lr=0.1"], seconds=60, training_steps=500, seeds=[3])
    found = command(system, Plan({"ae_60s": system}, [], dataset="digits"))
    assert found == (
        "lightning fit --config ae --config fast --model.lr=0.1 --trainer.max_steps=500 --trainer.max_epochs=-1 --data.dataset digits"
        " --seed_everything 3"
    )


def row(title: str, best: list[str], **means: float) -> dict[str, Any]:
    return {
        "system": title,
        "title": title,
        "best": best,
        "main": True,
        "variant": None,
        "labelled": False,
        "values": {name: {"mean": mean} for name, mean in means.items()},
    }


def test_the_findings_name_the_nearest_the_cheapest_and_the_claims() -> None:
    rows = [
        row("far", [], kid=9.0, kid_second=9.0, coverage=0.95, teraflops=10.0, seconds=5.0),
        row("near", ["kid"], kid=2.0, kid_second=8.0, coverage=0.93, teraflops=1234.0, seconds=360.0),
        row("like it", ["kid", "kid_second"], kid=2.1, kid_second=3.0, coverage=0.5, teraflops=1.0, seconds=1.0),
    ]
    verdicts = ["holds", "holds", "does not hold", "depends"]
    results = {"study": {"spaces": ["first", "second"]}, "claims": [{"verdict": verdict} for verdict in verdicts]}
    assert findings(results, rows) == [
        "Nearest to real images, or not told apart from the nearest, are at their own length: "
        "in the space first near and like it (KID 2.0); in the space second like it (KID 3.0).",
        "With a coverage of at least 0.9, the fewest operations of training has far: 10 TFLOP in 5 seconds.",
        "Of 4 claims of the report 2 hold, 1 does not and 1 depends on how it is measured.",
    ]
    timed = {"variant": {"seconds": 120}, "title": "AE, 120 s", "main": False, "sampler": "class_gmm", "labelled": True}
    assert findings(results, [*rows, rows[1] | timed])[0] == (
        "Of the samplers that take labels, nearest to real images, or not told apart from the nearest, are after 120 seconds of training: "
        "in the space first AE (class_gmm) (KID 2.0)."
    )
    taken = row("AE, 120 s", [], coverage=0.8, teraflops=7.0, seconds=478.0) | {"variant": {"seconds": 120}, "sampler": "gmm"}
    with_labels = row("AE, 120 s", ["kid"], kid=2.0, coverage=0.93) | timed
    assert findings(results, [taken, with_labels])[1].endswith("has AE (class_gmm): 7 TFLOP in 120 seconds."), (
        "not what a busy machine took"
    )
    undecided = {"study": {"spaces": ["first"]}, "claims": [{"verdict": "not decided"}]}
    assert findings(undecided, []) == []
