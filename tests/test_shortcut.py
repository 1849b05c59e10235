"""Shortcuts: long steps that lead where short ones lead."""

from pathlib import Path

import pytest
import torch
from builders import fit_batches, moved, tensors
from torch import Tensor

from lit_models.ae import AE
from lit_models.contracts import HasGuidance, HasSteps
from lit_models.flow import Flow
from lit_models.nn.flow_prior import FlowPrior
from lit_models.nn.shortcut_prior import ShortcutPrior
from lit_models.sampling.ode import integrate
from lit_models.sampling.shortcut import STEPS, level_of, of_two_steps, random_times, shortcut_states

MEAN, SPREAD = 0.3, 0.4


def exact(state: Tensor, times: Tensor, level: int) -> Tensor:
    """The mean velocity of the flow from N(0, 1) to N(MEAN, SPREAD) over a step of this level, in closed form."""
    begin = times.to(state)[:, None]
    end = begin + 1 / STEPS[level]

    def spread(at: Tensor) -> Tensor:
        return (at.square() * SPREAD**2 + (1 - at).square()).sqrt()

    return ((end * MEAN + spread(end) / spread(begin) * (state - begin * MEAN)) - state) * STEPS[level]


@pytest.mark.parametrize("level", range(1, len(STEPS)))
def test_a_step_leads_where_two_steps_of_half_its_length_lead(level: int) -> None:
    torch.manual_seed(0)
    state = torch.randn(64, 3, dtype=torch.float64)
    times = random_times(state, level).double()
    assert (times * STEPS[level] == (times * STEPS[level]).round()).all()
    assert (times < 1).all()
    torch.testing.assert_close(of_two_steps(exact, state, times, level), exact(state, times, level))
    wrong = exact(state, times, level - 1)
    assert not torch.allclose(of_two_steps(exact, state, times, level), wrong)


@pytest.mark.parametrize("steps", STEPS)
def test_with_the_exact_mean_velocity_any_number_of_steps_gives_the_exact_samples(steps: int) -> None:
    noise = torch.randn(8, 3, dtype=torch.float64)
    states = list(shortcut_states(exact, noise, steps))
    assert len(states) == steps
    torch.testing.assert_close(states[-1], MEAN + SPREAD * noise)


def test_other_numbers_of_steps_are_refused() -> None:
    assert [level_of(steps) for steps in STEPS] == [0, 1, 2, 3, 4]
    for steps in (0, 3, 32):
        with pytest.raises(ValueError, match=f"expected one of 1, 2, 4, 8, 16, got {steps}"):
            level_of(steps)
    with pytest.raises(ValueError, match="expected one of 1, 2, 4, 8, 16, got 5"):
        Flow(channels=8, shortcut=True)
    with pytest.raises(ValueError, match="shortcut expected the path linear, got cosine"):
        Flow(channels=8, shortcut=True, steps=4, path="cosine")


@pytest.mark.parametrize("network", ["unet", "transformer"])
def test_without_shortcuts_the_network_is_what_it_was_and_before_training_levels_do_nothing(network: str) -> None:
    torch.manual_seed(0)
    plain = Flow(network=network, channels=8)  # type: ignore[arg-type]
    torch.manual_seed(0)
    told = Flow(network=network, channels=8, shortcut=True, steps=4)  # type: ignore[arg-type]
    added = {name for name in told.state_dict() if "embed_level" in name}
    assert added == set(told.state_dict()) - set(plain.state_dict())
    assert all(torch.equal(value, told.state_dict()[name]) for name, value in plain.state_dict().items())
    noisy, times, labels = torch.randn(2, 1, 28, 28), torch.rand(2), torch.tensor([1, 2])
    assert torch.equal(told.network(noisy, times, labels, 3), plain.network(noisy, times, labels))


@pytest.mark.parametrize("classes", [10, None])
def test_a_model_with_shortcuts_learns_its_levels_and_is_sampled_in_steps_without_guidance(classes: int | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Flow(channels=8, shortcut=True, steps=4, classes=classes)
    before = tensors(model)
    fit_batches(model, tmp_path, 3)
    assert "network.embed_level.weight" in moved(before, model)
    assert isinstance(model, HasSteps)
    assert not isinstance(model, HasGuidance)
    model.eval()
    draws = [model.sample(2, generator=torch.Generator().manual_seed(0), steps=steps) for steps in (None, 4, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    with pytest.raises(ValueError, match="guidance expected a model"):
        model.sample(2, guidance=2.0)
    with pytest.raises(ValueError, match="expected one of 1, 2, 4, 8, 16, got 5"):
        model.sample(2, steps=5)


def test_the_first_images_of_a_batch_teach_the_longer_steps_with_the_guidance_of_the_model() -> None:
    """Two steps of level 0 are guided, and what the level above learns is their mean."""
    torch.manual_seed(0)
    model = Flow(channels=8, shortcut=True, steps=4, guidance=3.0)
    with torch.no_grad():
        for weight in model.averaged_network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    noisy, labels, times = torch.randn(2, 1, 28, 28), torch.tensor([3, 5]), torch.full((2,), 0.5)
    guided = model.path.velocity(noisy, model.denoise(noisy, times, labels, 3.0), times)
    assert torch.equal(model.mean_velocity(labels, noisy, times, 0), guided)
    assert not torch.allclose(guided, model.path.velocity(noisy, model.denoise(noisy, times, labels, 1.0), times))


def distance_to_many_steps(prior: FlowPrior) -> float:
    """Root mean squared distance of codes in one step from those of the flow in many, from the same noise."""
    prior.eval()
    few = prior.draw(1000, None, torch.Generator().manual_seed(0), steps=1)
    noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    tokens = torch.zeros(1000, dtype=torch.long)
    with torch.no_grad():
        many = integrate(lambda z, t: prior.guided(z, t, tokens, tokens, 1.0), noise, 50)
    return float((few - prior.scale.restore(many)).square().sum(dim=1).mean().sqrt())


def test_one_learned_step_is_nearer_to_the_flow_than_one_step_of_euler() -> None:
    centres = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    found = {}
    for kind in (ShortcutPrior, FlowPrior):
        torch.manual_seed(0)
        prior = kind(2, None, hidden=64, decay=0.99)
        codes = centres[torch.arange(3000) % 3] + 0.2 * torch.randn(3000, 2)
        prior.scale.fit(codes, None)
        optimizer = torch.optim.Adam(prior.network.parameters(), lr=3e-3)
        for _ in range(600):
            prior.train().loss(codes[torch.randint(3000, (256,))], None).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            prior.after_step()
        found[kind.name] = distance_to_many_steps(prior)
    assert found["shortcut"] < 0.5 * found["flow"], found


def test_the_sampler_shortcut_of_an_autoencoder_has_steps_and_no_guidance() -> None:
    model = AE(channels=16, sampler="shortcut")
    assert isinstance(model, HasSteps)
    assert model.steps == 1
    assert not isinstance(model, HasGuidance)
    with pytest.raises(ValueError, match="sampler shortcut expected no guidance"):
        model.sample(2, 1, guidance=2.0)
