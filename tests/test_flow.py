"""Flow matching and diffusion in pixels."""

import pytest
import torch
from torch import Tensor, nn

from lit_models.contracts import HasGuidance, HasSteps
from lit_models.flow import Flow
from lit_models.sampling.noise_path import NoisePath

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
        torch.testing.assert_close(found(3.0), found(0.0) + 3 * (found(1.0) - found(0.0)), atol=1e-4, rtol=1e-4)
        drawn = [model.sample(2, 5, torch.Generator().manual_seed(0), guidance=guidance) for guidance in (None, 1.5, 3.0)]
    assert torch.equal(drawn[0], drawn[1]), "1.5 is the default"
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
    monkeypatch.setattr("lit_models.flow.AT_ONCE", 2)
    torch.testing.assert_close(model.sample(5, generator=torch.Generator().manual_seed(0)), whole, atol=1e-4, rtol=0)


def test_samples_come_from_the_averaged_weights_of_the_steps_before() -> None:
    model = random_flow()
    before = model.sample(2, 1, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.zero_()
    assert torch.equal(model.sample(2, 1, torch.Generator().manual_seed(0)), before)
