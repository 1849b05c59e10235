"""Flow matching and diffusion in pixels."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lit_models.contracts import HasGuidance, HasLogLikelihood, HasSteps, HasTrajectory
from lit_models.flow import Flow
from lit_models.sampling.flow_sampling import LAST_NOISE, LIKELIHOOD_STEPS
from lit_models.sampling.noise_path import NoisePath
from lit_models.sampling.ode_density import log_density, random_signs, unit_vectors

PATHS = ("linear", "cosine")
MEAN, SPREAD = 0.3, 0.4  # of the pixels in [-1, 1], each alone


class GaussianDenoiser(nn.Module):
    """The exact mean of x given x_t, for pixels that are independent Gaussians."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = NoisePath(path)  # type: ignore[arg-type]

    def forward(self, noisy: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        alpha, sigma, _, _ = self.path.coefficients(times.view(-1, 1, 1, 1))
        return MEAN + SPREAD**2 * alpha / (alpha**2 * SPREAD**2 + sigma**2) * (noisy - alpha * MEAN)


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun", "ddim"])
def test_with_the_exact_denoiser_samples_have_the_distribution_of_the_data(path: str, solver: str) -> None:
    model = Flow(channels=8, path=path, solver=solver, steps=200)
    model.averaged_network = GaussianDenoiser(path)
    noise = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    (*_, last) = model.states(noise, torch.zeros(8, dtype=torch.long))
    # The exact flow maps a standard normal number to a number of the data, in the same order.
    torch.testing.assert_close(last, MEAN + SPREAD * noise, atol=0.02, rtol=0)


@pytest.mark.parametrize("solver", ["euler", "ddim"])
def test_on_the_linear_path_ddim_is_eulers_method(solver: str) -> None:
    torch.manual_seed(0)
    model = Flow(channels=8, steps=5, solver=solver)
    other = Flow(channels=8, steps=5, solver="ddim")
    other.load_state_dict(model.state_dict())
    draws = [each.eval().sample(3, 4, torch.Generator().manual_seed(0)) for each in (model, other)]
    torch.testing.assert_close(*draws, atol=1e-4, rtol=0)


def test_the_path_leads_from_noise_to_images_at_its_own_velocity(path: str) -> None:
    noise, images = torch.randn(2, 4, 1, 28, 28, dtype=torch.float64)
    way = NoisePath(path)  # type: ignore[arg-type]

    def at(time: float) -> Tensor:
        return way.between(noise, images, torch.full((4,), time, dtype=torch.float64))

    torch.testing.assert_close(at(0.0), noise)
    torch.testing.assert_close(at(1.0), images)
    half = torch.full((4,), 0.5, dtype=torch.float64)
    torch.testing.assert_close(way.velocity(at(0.5), images, half), (at(0.5 + 1e-5) - at(0.5 - 1e-5)) / 2e-5)
    torch.testing.assert_close(way.noise_in(at(0.5), images, half), noise)
    wrong = images + 0.1
    error = (way.velocity(at(0.5), wrong, half) - way.velocity(at(0.5), images, half)).square()
    torch.testing.assert_close(error, way.weight(half)[:, None, None, None] * torch.full_like(error, 0.01))


def test_the_variance_stays_on_the_path_of_a_diffusion() -> None:
    times = torch.linspace(0, 1, 20)
    alpha, sigma, _, _ = NoisePath("cosine").coefficients(times)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(20))
    assert not torch.allclose(sum(part**2 for part in NoisePath("linear").coefficients(times)[:2]), torch.ones(20))


def random_flow(network: str = "unet", **arguments: object) -> Flow:
    """A flow whose layers that are 0 before training are not."""
    torch.manual_seed(0)
    model = Flow(network=network, channels=8, **{"steps": 3, **arguments}).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in model.averaged_network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


@pytest.mark.parametrize("network", ["unet", "transformer"])
def test_guidance_one_is_none_and_zero_ignores_the_label(network: str) -> None:
    model = random_flow(network)
    noisy, times, labels = torch.randn(3, 1, 28, 28), torch.full((3,), 0.4), torch.tensor([1, 2, 3])

    def found(guidance: float, labels: Tensor = labels) -> Tensor:
        return model.denoise(noisy, times, labels, guidance)

    with torch.no_grad():
        assert not torch.allclose(found(1.0), found(0.0))
        assert torch.equal(found(0.0), found(0.0, labels.flip(0)))
        guided = found(0.0) + 3 * (found(1.0) - found(0.0))
        torch.testing.assert_close(found(3.0), guided, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found(0.5), found(0.0) + 0.5 * (found(1.0) - found(0.0)), atol=1e-4, rtol=1e-4)
        model.guided_from = 0.41
        assert torch.equal(found(3.0), found(1.0)), "it begins later"
        assert not torch.allclose(found(0.5), found(1.0)), "less than the label's own is no guidance, and acts everywhere"
        times[0] = 0.5
        torch.testing.assert_close(found(3.0)[1:], found(1.0)[1:])
        assert not torch.allclose(found(3.0)[0], found(1.0)[0])
        model.guided_from = 0.0
        drawn = [model.sample(2, 5, torch.Generator().manual_seed(0), guidance=guidance) for guidance in (None, 2.0, 3.0)]
    assert torch.equal(drawn[0], drawn[1]), "2 is the default"
    assert not torch.equal(drawn[0], drawn[2])


def test_steps_and_guidance_are_options_of_sampling() -> None:
    model, unlabelled = random_flow(), random_flow(classes=None)
    assert isinstance(model, HasSteps)
    assert isinstance(model, HasGuidance)
    assert isinstance(unlabelled, HasSteps)
    assert not isinstance(unlabelled, HasGuidance)
    assert not torch.equal(*(model.sample(2, 1, torch.Generator().manual_seed(0), steps=steps) for steps in (1, 4)))
    with pytest.raises(ValueError, match="steps expected at least 1, got 0"):
        model.sample(1, steps=0)
    with pytest.raises(ValueError, match="guidance expected a finite number of at least 0, got -1"):
        model.sample(1, guidance=-1.0)
    with pytest.raises(ValueError, match="got one without labels"):
        unlabelled.sample(1, guidance=2.0)
    for wrong, said in (({"solver": "rk4"}, "solver must be one of"), ({"path": "curved"}, "path must be one of linear, cosine")):
        with pytest.raises(ValueError, match=said):
            Flow(channels=8, **wrong)  # type: ignore[arg-type]


def test_many_samples_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_flow()
    whole = model.sample(5, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("lit_models.sampling.flow_sampling.AT_ONCE", 2)
    torch.testing.assert_close(model.sample(5, generator=torch.Generator().manual_seed(0)), whole, atol=1e-4, rtol=0)


def test_samples_come_from_the_averaged_weights_of_the_steps_before() -> None:
    model = random_flow()
    before = model.sample(2, 1, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.zero_()
    assert torch.equal(model.sample(2, 1, torch.Generator().manual_seed(0)), before)


def test_a_trajectory_leads_from_the_noise_to_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_flow()
    states = model.trajectory(3, 4, torch.Generator().manual_seed(0))
    noise = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert isinstance(model, HasTrajectory)
    assert states.shape == (3, 4, 1, 28, 28)
    assert torch.equal(states[:, 0], (noise / 2 + 0.5).clamp(0, 1))
    assert torch.equal(states[:, -1], model.sample(3, 4, torch.Generator().manual_seed(0)))
    monkeypatch.setattr("lit_models.sampling.flow_sampling.AT_ONCE", 2)
    torch.testing.assert_close(model.trajectory(3, 4, torch.Generator().manual_seed(0)), states, atol=1e-4, rtol=0)


def gaussian_bits(images: Tensor, path: str) -> Tensor:
    """Minus the log-density of the images at the end of the path, by the closed form, in bits per dimension."""
    way = NoisePath(path)  # type: ignore[arg-type]
    alpha, sigma, _, _ = way.coefficients(torch.tensor(way.time_of(LAST_NOISE), dtype=torch.float64))
    nats = torch.distributions.Normal(alpha * MEAN, (alpha**2 * SPREAD**2 + sigma**2).sqrt()).log_prob(2 * images - 1)
    return -(nats + math.log(2 / 255)).flatten(1).mean(dim=1) / math.log(2)


def in_bits(nats: Tensor, images: Tensor) -> Tensor:
    return -nats / images[0].numel() / math.log(2)


def test_the_likelihood_of_independent_gaussian_pixels_is_that_of_the_closed_form(path: str) -> None:
    model = Flow(channels=8, path=path).double()
    model.averaged_network = GaussianDenoiser(path)
    pixels = MEAN + SPREAD * torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = ((pixels / 2 + 0.5) * 255).round() / 255
    found = {
        steps: in_bits(model.log_likelihood(images, torch.Generator().manual_seed(0), steps=steps), images)
        for steps in (LIKELIHOOD_STEPS, 80)
    }
    torch.testing.assert_close(found[80], gaussian_bits(images, path), atol=0.01, rtol=0)
    torch.testing.assert_close(found[LIKELIHOOD_STEPS], found[80], atol=0.02, rtol=0)
    wrong = in_bits(model.log_likelihood(1 - images, torch.Generator().manual_seed(0)), images)
    assert (wrong > found[80] + 0.5).all()


def test_random_signs_estimate_the_exact_divergence_without_bias() -> None:
    model, image = small_flow(), torch.rand(1, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    exact = model.log_likelihood(image, torch.Generator().manual_seed(1), steps=3, probes=None)
    again = model.log_likelihood(image, torch.Generator().manual_seed(1), steps=3, probes=None)
    assert torch.equal(exact, again)
    # Many draws at the same point of the grey level: only the probes differ.
    points, times = (2 * image - 1).double().expand(400, -1, -1, -1), [0.9, 0.5, 0.0]
    velocity = partial(model.double().velocity, torch.zeros(400, dtype=torch.long), 1.0)
    each = [log_density(velocity, points, times, random_signs(points, 1, torch.Generator().manual_seed(seed))) for seed in range(2)]
    drawn = torch.cat(each)
    sure = log_density(partial(model.velocity, torch.zeros(1, dtype=torch.long), 1.0), points[:1], times, unit_vectors(points[:1]))
    assert float(drawn.std()) > 1e-3, "the estimate has an error"
    assert abs(float(drawn.mean() - sure)) < 4 * float(drawn.std()) / len(drawn) ** 0.5


def test_a_likelihood_is_no_exact_one_and_draws_from_its_generator_alone() -> None:
    model, image = small_flow(), torch.rand(2, 1, 14, 14)
    assert isinstance(model, HasLogLikelihood)
    assert not model.exact
    state = torch.get_rng_state()
    one, two, other = (model.log_likelihood(image, torch.Generator().manual_seed(seed), steps=2) for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def small_flow() -> Flow:
    return random_flow(image_shape=(1, 14, 14))
