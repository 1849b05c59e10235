"""A study also trains for equal seconds and at several widths, and says which rows cannot be told apart."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from callbacks import CountFlops
from lit_models.ae import AE
from lit_models.sampling.samplers import draw
from lit_models.study import tuning
from lit_models.study.agreement import agreement
from lit_models.study.plan import Growth, Plan, System
from lit_models.study.rows import rows_of
from lit_models.study.speed import known_speed, with_steps
from lit_models.study.training import Failed, folder_of, run_in, train
from lit_models.training.schedules import warmup_cosine


def measured(seed: int, **kid: float) -> dict[str, Any]:
    samplers = {name: {"kid": value, "kid_error": 1.0, "coverage": 0.9} for name, value in kid.items()}
    trained = {"images": 1000, "seconds": 10.0 + seed}
    return {
        "system": "", "seed": seed, "trained": trained, "parameters": 5, "decoder_parameters": 3, "codes": {}, "samplers": samplers,
        "labelled": [], "responses": {}, "stages": [], "knob": [], "last_scalars": {},
    }  # fmt: skip


def test_rows_that_cannot_be_told_apart_from_the_best_are_marked_as_it(tmp_path: Path) -> None:
    """Standard errors are 1: a difference of 2 lies inside its interval of 1.96 x the root of 2, one of 4 does not."""
    kids = {"best": 3.0, "near": 5.0, "far": 7.0}
    plan = Plan({name: System(name, name, ["ae"]) for name in kids}, [])
    rows = rows_of(tmp_path, {name: [measured(0, own=kid)] for name, kid in kids.items()}, plan, 10_000, "first")
    assert {row["system"]: "kid" in row["best"] for row in rows} == {"best": True, "near": True, "far": False}
    assert [row["values"]["kid"]["mean"] for row in rows] == [3, 5, 7]
    low, high = (rows[0]["values"]["kid"][end] for end in ("low", "high"))
    assert (low, high) == pytest.approx((3 - 1.96, 3 + 1.96), abs=0.15)


def test_rows_compare_with_those_of_the_same_length_alone(tmp_path: Path) -> None:
    """Of a variant all samplers compare, of other systems the main ones."""
    systems = [
        System("ae", "AE", ["ae"]),
        System("ae_60s", "AE, 60 s", ["ae"], seconds=60, variant_of="ae"),
        System("ae_x2", "AE, 2 x width", ["ae"], seconds=60, variant_of="ae", factor=2),
    ]
    plan = Plan({each.name: each for each in systems}, [])
    rows = rows_of(tmp_path, {each.name: [measured(0, own=50.0, other=20.0)] for each in systems}, plan, 10_000, "first")
    assert [(row["system"], row["sampler"]) for row in rows if "kid" in row["best"]] == [
        ("ae", "own"), ("ae_60s", "other"), ("ae_x2", "other"),
    ]  # fmt: skip


def test_a_row_that_covers_little_is_marked_in_nothing(tmp_path: Path) -> None:
    found = measured(0, own=1.0)
    found["samplers"]["own"]["coverage"] = 0.4
    (only,) = rows_of(tmp_path, {"ae": [found]}, Plan({"ae": System("ae", "AE", ["ae"])}, []), 10_000, "first")
    assert only["best"] == []


def test_spaces_agree_if_they_order_rows_alike() -> None:
    def rows(*seconds: float) -> dict[str, Any]:
        samplers = {f"{place}": {"coverage": 0.9, "kid": place, "kid_second": second} for place, second in enumerate(seconds)}
        return {"ae": [{"samplers": samplers | {"far": {"coverage": 0.1, "kid": 1e6, "kid_second": 0.0}}}]}

    for seconds, tau in (((1, 2, 3, 4), 1), ((4, 3, 2, 1), -1), ((1, 2, 4, 3), 2 / 3)):
        (pair,) = agreement(rows(*seconds), ["first", "second"])
        assert (pair["spaces"], pair["rows"]) == (["first", "second"], 4), "rows that are far away are left out"
        assert pair["tau"] == pytest.approx(tau)
    assert agreement(rows(1, 2), ["first", "second"]) == [], "two rows have no order to speak of"


class Penalised(nn.Module):
    """A linear layer whose gradient is penalised, as discriminators are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(30, 20)


def test_operations_are_counted_also_through_gradients_of_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of (B, m) and (m, n) has 2 B m n operations; backward has one for weights and, where it is needed, one for inputs."""
    model, batch, product = Penalised(), [torch.rand(8, 30), torch.zeros(8)], 2 * 30 * 20
    monkeypatch.setattr("callbacks.count_flops.images_of", lambda model, batch: (batch[0], batch[1]))
    counter, expected = CountFlops(), []
    for penalised, products in ((False, 2), (True, 5)):
        counter.on_train_batch_start(None, model, batch, 0)  # type: ignore[arg-type]
        inputs = batch[0].clone().requires_grad_(penalised)
        loss = model.layer(inputs).square().sum()
        if penalised:
            (slope,) = torch.autograd.grad(loss, inputs, create_graph=True)
            slope.square().sum().backward()
        else:
            loss.backward()
        counter.on_train_batch_end(None, model, None, batch, 0)  # type: ignore[arg-type]
        expected.append(products * product)
    assert counter.per_image[0] == expected[0]
    assert counter.per_image[1] >= expected[1] > counter.per_image[0]
    checkpoint: dict[str, Any] = {}
    counter.on_save_checkpoint(None, model, checkpoint)  # type: ignore[arg-type]
    assert checkpoint["flops"] == counter.per_image
    assert all(math.isfinite(each) for each in counter.per_image)


def test_variants_have_every_budget_and_every_width() -> None:
    system = System("ae", "AE", ["ae"], ["--a=1"], "gmm", temperatures=[0.7], seeds=[5, 6], equal=True, widths={"model.channels": 32})
    plain = System("vae", "VAE", ["vae"], equal=True)
    plan = Plan({"ae": system, "vae": plain, "gan": System("gan", "GAN", ["gan"])}, [], budgets={60: [0], 360: [0, 1]})
    plan = replace(plan, growth=Growth([0.25, 1], 20))
    found = plan.with_variants().systems
    assert list(found) == ["ae", "ae_60s", "ae_360s", "ae_x0.25", "ae_x1", "vae", "vae_60s", "vae_360s", "gan"]
    assert found["ae"] == system
    longest, narrow, shipped = found["ae_360s"], found["ae_x0.25"], found["ae_x1"]
    assert (longest.variant_of, longest.seconds, longest.seeds, longest.sampler) == ("ae", 360, [0, 1], "gmm")
    assert (longest.options, longest.temperatures) == (["--a=1"], [])
    assert (narrow.options, narrow.factor, narrow.seconds, narrow.seeds) == (["--a=1", "--model.channels=8"], 0.25, 20, [5])
    assert (shipped.options, shipped.factor) == (["--a=1"], 1), "the shipped width is what it is"
    assert plan.with_variants().with_variants().systems == found
    same = replace(plan, growth=Growth([0.25, 1], 60)).with_variants().systems
    assert list(same)[:4] == ["ae", "ae_60s", "ae_360s", "ae_x0.25"], "the shipped width has been trained for these seconds"
    assert "ae_x1" not in same
    assert {tuple(each.seeds or ()) for each in plan.with_seeds([3, 4]).with_variants().systems.values()} == {(), (3, 4), (3,)}


def test_a_length_in_seconds_is_a_number_of_steps_that_is_measured_once(tmp_path: Path, capsys) -> None:
    """Real trainings. Operations are those of the layers, counted by hand; the steps take about the seconds that were asked for."""
    fast, small = ["ae", "fast"], ["--model.channels=16"]
    equal = System("ae_3s", "AE, 3 s", fast, small, seconds=3, variant_of="ae")
    broken = System("broken_3s", "broken", ["ae", "fast"], ["--model.latent_dim=-1"], seconds=3, variant_of="broken")
    plan = Plan({each.name: each for each in (System("ae", "AE", fast, small), equal, broken)}, [], dataset="digits")
    found = with_steps(plan, plan.systems, tmp_path, "data")
    assert found.systems["broken_3s"].training_steps is None
    with pytest.raises(Failed, match="expected a training of some steps that tells the speed of broken_3s"):
        train(tmp_path, found.systems["broken_3s"], 0, found, "data")
    steps = found.systems["ae_3s"].training_steps
    assert steps is not None
    known = known_speed(tmp_path, found.systems["ae"], plan)
    assert known == known_speed(tmp_path, equal, plan), "systems with the same settings share it"
    assert known is not None
    assert steps == known.steps(3) == round((3 - known.seconds_once) / known.seconds_per_step)
    assert known.flops(200, 400) == pytest.approx(known.flops(400, 400) / 2), "one phase: all steps cost the same"
    assert len(set(known.flops_per_image)) == 1
    forward = flops_of_a_pass(AE(channels=16))
    assert 2 * forward < known.flops_per_image[0] <= 3 * forward, "backward costs twice as much as forward, less at the first layer"
    capsys.readouterr()
    again = with_steps(plan, ["ae", "ae_3s"], tmp_path, "data")
    assert (again, capsys.readouterr().out) == (found, "")
    assert with_steps(plan, [], tmp_path / "other", "data") == plan, "what is not asked for is not measured"
    train(tmp_path, found.systems["ae_3s"], 0, found, "data")
    run = run_in(folder_of(tmp_path, equal, 0))
    assert run is not None
    trained = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert trained["global_step"] == steps
    assert trained["lr_schedulers"][0]["last_epoch"] == steps
    rate = 8e-3 * warmup_cosine(steps, steps)  # on a slow machine, these are fewer steps than those of the warm-up
    assert trained["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(rate), "the schedule has the length of the training"


def flops_of_a_pass(model: AE) -> int:
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 1, 28, 28))
    return counter.get_total_flops()


@pytest.mark.by_hand
def test_a_study_searches_settings_and_trains_the_best_for_equal_seconds(tmp_path: Path, lightning, capsys, monkeypatch) -> None:
    """The real entry point: default and tuned stand in one table, a search that has ended is not made again, and it is not needed."""
    ae = {"title": "AE", "config": ["ae", "fast"], "options": ["--model.channels=16"], "equal": True, "sampler": "gmm"}
    content = {"dataset": "digits", "samples": 100, "samples_at_images": 100, "at_images": [500], "temperatures_of_curve": [],
               "decided": False, "budgets": {1: [0]}, "tuning": {"trials": 2, "seconds": 1}, "systems": {"ae": ae}}  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr("lit_models.study.study.find_spec", lambda name: None)
    assert lightning("study", "--config", "plan.yaml") == 0
    assert "tuning   left out: it needs Optuna" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    asked = set()
    monkeypatch.setattr(tuning, "draw", lambda model, n, sampler: asked.add(sampler) or draw(model, n, sampler))
    assert lightning("study", "--config", "plan.yaml") == 0
    assert "ae, search of settings: 2 trials" in capsys.readouterr().out
    assert asked == {"gmm"}, "trials are measured by the sampler of the system's main row"
    rows = {row["system"]: row for row in json.loads((tmp_path / "study/results.json").read_text())["rows"] if row["main"]}
    assert rows.keys() == {"ae", "ae_1s", "ae_tuned"}
    best = json.loads((tmp_path / "study/tuning/ae/best.json").read_text())["values"]
    assert all(f"--{name}={value}" in rows["ae_tuned"]["note"] for name, value in best.items())
    assert rows["ae_tuned"]["variant"] == {"of": "ae", "seconds": 1, "factor": None, "tuned": True}
    page = (tmp_path / "study/index.html").read_text()
    assert page.index("1 seconds of training") < page.index("AE, tuned") < page.index("<h2>Claims"), "in the table of the same seconds"
    measured = json.loads((tmp_path / "study/measures/ae_1s_seed_0.json").read_text())
    (last,) = (tmp_path / "study/runs/ae_1s/seed_0").rglob("last.ckpt")
    assert measured["trained"] == torch.load(last, weights_only=True)["trained"], "measured at its end, which is within an epoch"
    before = sorted((file, file.stat().st_mtime_ns) for file in (tmp_path / "study/measures").iterdir())
    shutil.rmtree(tmp_path / "study/runs")
    assert lightning("study", "--config", "plan.yaml") == 0
    assert sorted((file, file.stat().st_mtime_ns) for file in (tmp_path / "study/measures").iterdir()) == before
    assert not (tmp_path / "study/runs").exists(), "measures stand without their training"
