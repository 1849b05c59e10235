"""The priors over codes that a run trains in its second phase: a flow and couplings."""

import math
from pathlib import Path

import pytest
import torch
from builders import BUILD
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.distributions import Normal

from lit_models.ae import AE
from lit_models.contracts import CodeDistribution, HasGuidance, HasSteps
from lit_models.nn.coupling_prior import Coupling, CouplingPrior
from lit_models.nn.flow_prior import FlowPrior
from lit_models.nn.latent_prior import PRIORS
from lit_models.training.prior_phase import codes_of
from lit_models.vae import VAE


def untrained(name: str, width: int, classes: int | None = 3) -> nn.Module:
    """A prior whose averaged weights are random, and not those of the identity."""
    torch.manual_seed(0)
    prior = PRIORS[name](width, classes, hidden=32).eval()
    for module in prior.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.5 / math.sqrt(module.weight.shape[1]))
    prior.scale.mean.copy_(torch.linspace(-1, 2, width))
    prior.scale.spread.copy_(torch.linspace(0.5, 1.5, width))
    return prior


def test_the_priors_are_code_distributions() -> None:
    assert all(isinstance(untrained(name, 4), CodeDistribution) for name in PRIORS)


@pytest.mark.parametrize("label", [0, 2, None])
@pytest.mark.parametrize("name", PRIORS)
def test_the_density_integrates_to_one(name: str, label: int | None) -> None:
    prior, side = untrained(name, 2), 80
    axis = torch.linspace(-9, 11, side)
    points = torch.cartesian_prod(axis, axis)
    labels = None if label is None else torch.full((len(points),), label)
    total = prior.log_density(points, labels).double().exp().sum() * float(axis[1] - axis[0]) ** 2
    assert float(total) == pytest.approx(1, abs=0.01)


class GaussianVelocity(nn.Module):
    """The exact velocity from N(0, 1) to N(mean, spread ** 2), the same for all labels."""

    def __init__(self, mean: float, spread: float) -> None:
        super().__init__()
        self.mean, self.variance = mean, spread**2

    def forward(self, codes: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        t = times[:, None]
        slope = (t * self.variance - (1 - t)) / (t**2 * self.variance + (1 - t) ** 2)
        return self.mean + slope * (codes - t * self.mean)


def test_the_flow_from_a_gaussian_to_a_gaussian_has_its_samples_and_its_density() -> None:
    prior = FlowPrior(3, 4)
    prior.averaged_velocity = GaussianVelocity(2.0, 0.5)  # type: ignore[assignment]
    codes = prior.draw(20_000, generator=torch.Generator().manual_seed(0), steps=50)
    assert codes.mean(dim=0).tolist() == pytest.approx([2.0] * 3, abs=0.02)
    assert codes.std(dim=0).tolist() == pytest.approx([0.5] * 3, abs=0.01)
    some = codes[:100]
    exact = Normal(2.0, 0.5).log_prob(some).sum(dim=1)
    torch.testing.assert_close(prior.log_density(some, steps=100), exact, atol=2e-3, rtol=0)
    cool = prior.draw(20_000, generator=torch.Generator().manual_seed(0), steps=50, temperature=0.5)
    assert cool.std(dim=0).tolist() == pytest.approx([0.25] * 3, abs=0.01)


def test_the_loss_of_the_flow_is_least_for_the_exact_velocity() -> None:
    codes = 2.0 + 0.5 * torch.randn(20_000, 3)
    prior = FlowPrior(3, None).eval()
    losses = []
    for mean in (1.8, 2.0, 2.2):
        prior.averaged_velocity = GaussianVelocity(mean, 0.5)  # type: ignore[assignment]
        torch.manual_seed(0)
        losses.append(float(prior.loss(codes, None).mean()))
    assert losses[1] < min(losses[0], losses[2])


def test_guidance_one_is_none_and_zero_ignores_the_label() -> None:
    prior = untrained("flow", 4)

    def drawn(label: int | None, guidance: float | None = None) -> Tensor:
        return prior.draw(5, label, torch.Generator().manual_seed(0), guidance=guidance)

    assert torch.equal(drawn(1), drawn(1, 1.0))
    assert torch.equal(drawn(1, 0.0), drawn(None))
    assert torch.equal(drawn(1, 0.0), drawn(2, 0.0))
    assert not torch.allclose(drawn(1), drawn(2))
    label, none = torch.tensor([1]), torch.tensor([prior.classes])
    early, late = ([prior.guided(torch.zeros(1, 4), time, label, none, guidance) for guidance in (1.0, 2.0)] for time in (0.45, 0.55))
    assert torch.equal(*early), "guidance above 1 does not act on the first half of the way"
    assert not torch.equal(*late)
    between = prior.guided(torch.zeros(1, 4), 0.3, label, none, 0.5)
    ends = [prior.guided(torch.zeros(1, 4), 0.3, label, none, guidance) for guidance in (0.0, 1.0)]
    torch.testing.assert_close(between, (ends[0] + ends[1]) / 2)


def test_couplings_have_an_inverse_and_the_volume_of_their_jacobian() -> None:
    prior = untrained("coupling", 5)
    codes, labels = torch.randn(4, 5), torch.tensor([0, 1, 2, 0])
    noise, volume = prior.couplings(codes, labels)
    torch.testing.assert_close(prior.couplings.inverse(noise, labels), codes, atol=1e-4, rtol=1e-4)
    for row in range(4):
        jacobian = torch.autograd.functional.jacobian(lambda code, row=row: prior.couplings(code[None], labels[[row]])[0][0], codes[row])
        assert float(torch.linalg.slogdet(jacobian).logabsdet) == pytest.approx(float(volume[row]), abs=1e-4)


def test_a_coupling_moves_only_what_it_does_not_keep() -> None:
    torch.manual_seed(0)
    kept = torch.tensor([True, False, True])
    coupling = Coupling(kept, 2, 8)
    nn.init.normal_(coupling.body[-1].weight)
    codes = torch.randn(6, 3)
    moved, _ = coupling(codes, torch.zeros(6, dtype=torch.long))
    assert torch.equal(moved[:, kept], codes[:, kept])
    assert not torch.allclose(moved[:, ~kept], codes[:, ~kept])


def test_without_labels_couplings_are_the_mixture_over_the_classes() -> None:
    prior = untrained("coupling", 4)
    prior.scale.shares.copy_(torch.tensor([0.5, 0.3, 0.2]))
    codes = torch.randn(6, 4)
    each = torch.stack([prior.log_density(codes, torch.full((6,), label)).exp() for label in range(3)])
    torch.testing.assert_close(prior.log_density(codes).exp(), (prior.scale.shares[:, None] * each).sum(dim=0))


@pytest.mark.parametrize("name", PRIORS)
def test_one_phase_trains_the_autoencoder_and_the_next_the_prior(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AE(channels=16, sampler=name, lr_steps=2, prior_steps=4)
    loader = torch.utils.data.DataLoader([(image, number % 10) for number, image in enumerate(torch.rand(120, 1, 28, 28))], batch_size=20)
    states = []

    def keep(*_: object) -> None:
        states.append({key: value.clone() for key, value in model.state_dict().items() if isinstance(value, Tensor)})

    model.on_train_batch_end = keep  # type: ignore[method-assign]
    Trainer(max_steps=6, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu").fit(model, loader)
    assert len(states) == 6

    def moved(first: int, then: int, part: str) -> bool:
        return any(not torch.equal(states[first][key], value) for key, value in states[then].items() if key.startswith(part))

    network = "prior.couplings" if name == "coupling" else "prior.velocity"
    assert moved(0, 1, "decoder")
    assert not moved(0, 1, "prior")
    assert not moved(1, 5, "decoder")
    assert not moved(1, 5, "encoder")
    assert moved(2, 5, network)
    assert moved(1, 2, "prior.scale")
    assert not moved(2, 5, "prior.scale")


def test_a_prior_that_needs_labels_says_so_in_the_first_batch() -> None:
    model = AE(channels=16, sampler="flow", lr_steps=100, prior_steps=100)
    with pytest.raises(ValueError, match="got images alone"):
        Trainer(max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu").fit(
            model, torch.utils.data.DataLoader(torch.rand(20, 1, 28, 28), batch_size=10)
        )


def test_only_a_flow_has_steps_and_guidance() -> None:
    flow, couplings, plain = (BUILD["ae"](sampler=name) for name in ("flow", "coupling", "gmm"))
    assert isinstance(flow, HasSteps)
    assert isinstance(flow, HasGuidance)
    assert not any(isinstance(model, HasSteps | HasGuidance) for model in (couplings, plain))
    assert flow.sample(3, 2, steps=2, guidance=3.0).shape == (3, 1, 28, 28)
    for model, sampler in ((couplings, "coupling"), (flow, "normal")):
        with pytest.raises(ValueError, match=f"sampler {sampler} expected no steps"):
            model.sample(3, sampler=sampler, steps=2)
    with pytest.raises(ValueError, match="flow, shortcut, coupling, got 'flows'"):
        AE(sampler="flows")  # type: ignore[arg-type]


def test_the_likelihood_of_a_vae_may_have_the_density_of_any_sampler() -> None:
    torch.manual_seed(0)
    model = VAE(channels=16, sampler="coupling").eval()  # the couplings are the identity: N(0, I)
    images = (torch.rand(4, 1, 28, 28) > 0.5).float()

    def weights(sampler: str | None) -> Tensor:
        return model.log_weights(images, 7, torch.Generator().manual_seed(0), sampler=sampler)  # type: ignore[arg-type]

    torch.testing.assert_close(weights("normal"), weights(None), atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(weights("coupling"), weights(None))
    model.prior.scale.spread.fill_(0.5)  # N(0, 1/4) instead
    assert not torch.allclose(weights("normal"), weights(None), atol=1e-2)


def test_each_image_is_encoded_once_however_often_its_code_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    images, seen = torch.rand(3, 1, 28, 28), []
    for model in (AE(channels=16), VAE(channels=16)):
        encoder, forward = model.encoder, model.encoder.forward
        monkeypatch.setattr(encoder, "forward", lambda given, forward=forward: (seen.append(len(given)), forward(given))[1])
        assert codes_of(model, images, repeats=4).shape == (12, 16)
    assert seen == [3, 3]


def test_couplings_need_two_numbers() -> None:
    with pytest.raises(ValueError, match="at least 2 numbers, got 1"):
        CouplingPrior(1, 10)
