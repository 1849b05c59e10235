"""Learning-rate schedules and phases: their shape, their length, and that a resumed run keeps them."""

import signal
from pathlib import Path

import pytest
import torch
from conftest import DIGITS, state_of
from same_run import OFTEN, assert_same_run
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.training.phases import phase_schedule, split_steps, zero_of
from lit_models.training.schedules import FLOOR, WarmupCosine, adam, set_base_rates, warmup_cosine


def test_a_schedule_warms_up_falls_and_stays_at_its_floor() -> None:
    factors = [warmup_cosine(step, 1000) for step in range(1500)]
    assert factors[0] == 0.01
    assert factors[99] == 1
    assert factors[100:1000] == sorted(factors[100:1000], reverse=True)
    assert factors[550] == pytest.approx(FLOOR + (1 - FLOOR) / 2)
    assert set(factors[1000:]) == {FLOOR}


def test_a_group_outside_its_phase_has_no_learning_rate() -> None:
    first, second = WarmupCosine(200, ends=True), WarmupCosine(300, start=200)
    assert [first(step) for step in range(200)] == [warmup_cosine(step, 200) for step in range(200)]
    assert {first(step) for step in range(200, 600)} == {0.0}
    assert {second(step) for step in range(200)} == {0.0}
    assert [second(200 + step) for step in range(600)] == [warmup_cosine(step, 300) for step in range(600)]


@pytest.mark.parametrize(
    ("total", "given", "steps"),
    [(400, [None, None], [100, 300]), (400, [250, None], [250, 150]), (400, [None, 50], [100, 50]), (40, [250, None], [250, 0])],
)
def test_phases_share_the_training_as_far_as_they_are_not_given(total: int, given: list[int | None], steps: list[int]) -> None:
    assert split_steps(total, given, [0.25, 0.75]) == steps


def test_the_length_of_a_schedule_is_restored_with_its_state() -> None:
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    saved = phase_schedule(torch.optim.SGD([{"params": [each]} for each in parameters], lr=1.0), [20, 30]).state_dict()
    waiting = phase_schedule(
        torch.optim.SGD([{"params": [each]} for each in parameters], lr=1.0), split_steps(None, [None, None], [0.5, 0.5])
    )
    waiting.load_state_dict(saved)
    assert [(part.steps, part.start, part.ends) for part in waiting.lr_lambdas] == [(20, 0, True), (30, 20, False)]


def test_base_rates_are_set_times_the_factor_of_the_current_step() -> None:
    configured = adam([nn.Parameter(torch.zeros(1))], lr=1.0, steps=500)
    schedule = configured["lr_scheduler"]["scheduler"]
    assert isinstance(schedule, LambdaLR)
    for _ in range(49):
        configured["optimizer"].step()
        schedule.step()
    set_base_rates(schedule, [0.1])
    assert configured["optimizer"].param_groups[0]["lr"] == pytest.approx(0.1 * 0.5)


def test_zero_of_parameters_has_a_zero_gradient_for_every_parameter() -> None:
    module = nn.Linear(3, 2)
    zero_of(module.parameters()).backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in module.parameters())


# Two epochs of 120 batches each: longer than the warm-up, in which the length does not matter.
LONG = [*DIGITS, "--data.batch_size=2", "--data.limit=240", "--trainer.limit_val_batches=0"]
SMALL = {
    "ae": ["--model.channels=8"],
    "vqvae": ["--model.channels=8", "--model.n_codes=16", "--model.prior_width=8", "--model.prior_layers=1"],
}
LENGTHS = {"ae": [240], "vqvae": [60, 180]}


@pytest.mark.parametrize("model", SMALL)
def test_a_training_of_max_epochs_learns_for_max_epochs_and_a_resumed_run_keeps_its_schedule(
    model: str, lightning, stop_at, tmp_path: Path
) -> None:
    words = ["fit", "--config", model, *LONG, *SMALL[model], *OFTEN, "--trainer.max_epochs=2"]
    assert lightning(*words) == 0
    with pytest.raises(SystemExit) as stopped:
        lightning(*words, *stop_at(150))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert lightning(*words, "--ckpt_path=last") == 0
    runs = tmp_path / "logs" / model / "digits"
    assert_same_run(runs / "version_0", runs / "version_1")
    last = runs / "version_1" / "checkpoints" / "last.ckpt"
    assert [part["steps"] for part in read_checkpoint(last)["lr_schedulers"][0]["lr_lambdas"]] == LENGTHS[model]
    assert lightning(*words, "--trainer.max_epochs=3", "--ckpt_path=last") == 0
    assert state_of(last)["global_step"] == 360
    assert [part["steps"] for part in read_checkpoint(last)["lr_schedulers"][0]["lr_lambdas"]] == LENGTHS[model], "prolonged"
    rates = [group["lr"] for group in read_checkpoint(last)["optimizer_states"][0]["param_groups"]]
    assert rates[-1] == pytest.approx(FLOOR * {"ae": 8e-3, "vqvae": 4e-3}[model])


def test_a_learning_rate_named_on_resume_is_used_by_a_model_without_a_schedule_too(lightning, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(
        "import torch\nfrom lit_models import AE\n\nclass Plain(AE):\n    '''An AE without a schedule.'''\n"
        "    def configure_optimizers(self):\n        return torch.optim.Adam(self.parameters(), lr=self.lr)\n"
    )
    (tmp_path / "plain.yaml").write_text("model: {class_path: plain.Plain, init_args: {channels: 16, lr: 0.001}}\n")
    words = ["fit", "--config", "plain.yaml", *DIGITS]
    assert lightning(*words, "--trainer.max_epochs=1") == 0
    assert lightning(*words, "--trainer.max_epochs=2", "--ckpt_path=last", "--model.lr=1e-5") == 0
    saved = read_checkpoint(tmp_path / "logs/plain/digits/version_0/checkpoints/last.ckpt")
    assert saved["optimizer_states"][0]["param_groups"][0]["lr"] == 1e-5
