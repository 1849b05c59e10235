"""Metrics agree with brute force, and with models whose exact value is known."""

import math

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal

from lit_models.evaluation import Neighbourhoods, importance_sampled_nats
from lit_models.evaluation.neighbourhoods import radii
from lit_models.vae import VAE


def by_brute_force(real: Tensor, drawn: Tensor, k: int) -> dict[str, float]:
    """Precision, recall, density and coverage by their definitions, point by point."""

    def distance(a: Tensor, b: Tensor) -> float:
        return float((a - b).square().sum().sqrt())

    def reach(points: Tensor, i: int) -> float:
        return sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real_reach, drawn_reach = ([reach(points, i) for i in range(len(points))] for points in (real, drawn))
    inside = [[distance(y, x) <= r for x, r in zip(real, real_reach, strict=True)] for y in drawn]
    return {
        "precision": sum(map(any, inside)) / len(drawn),
        "recall": sum(any(distance(x, y) <= r for y, r in zip(drawn, drawn_reach, strict=True)) for x in real) / len(real),
        "density": sum(map(sum, inside)) / (k * len(drawn)),
        "coverage": sum(any(row[i] for row in inside) for i in range(len(real))) / len(real),
    }


def neighbourhoods(real: Tensor, drawn: Tensor, k: int = 5) -> dict[str, float]:
    metric = Neighbourhoods(k)
    for part in real.split(17):
        metric.update(part, real=True)
    metric.update(drawn, real=False)
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.mark.parametrize("k", [1, 5])
def test_neighbourhoods_agree_with_their_definitions(k: int) -> None:
    torch.manual_seed(0)
    real, drawn = torch.randn(40, 3), 0.7 * torch.randn(30, 3) + 0.3
    assert neighbourhoods(real, drawn, k) == pytest.approx(by_brute_force(real, drawn, k))


def test_two_samples_of_one_distribution_have_the_known_density_and_coverage() -> None:
    """In expectation, density is 1 and coverage is 1 - 2^-k (Naeem et al. 2020, lemma 2)."""
    torch.manual_seed(0)
    found = neighbourhoods(torch.randn(3000, 8), torch.randn(3000, 8))
    assert found["density"] == pytest.approx(1, abs=0.05)
    assert found["coverage"] == pytest.approx(1 - 2**-5, abs=0.01)


def test_neighbourhoods_distinguish_a_lost_mode_from_noise() -> None:
    torch.manual_seed(0)
    real = torch.cat([torch.randn(300, 4), torch.randn(300, 4) + 20])
    one_mode = neighbourhoods(real, torch.randn(600, 4))
    assert one_mode["precision"] > 0.9
    assert one_mode["coverage"] == pytest.approx(0.5, abs=0.03)
    far = neighbourhoods(real, torch.randn(600, 4) + 100)
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_neighbourhoods_of_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match=r"neighbours of samples with k=5 expected 6 of them at least, got 4"):
        neighbourhoods(torch.randn(10, 2), torch.randn(4, 2))


class LinearGaussian:
    """p(z) = N(0, I), p(x|z) = N(W z, s^2 I). The likelihood is N(0, W W^T + s^2 I), and the posterior is Gaussian.

    With `exact`, q is the posterior; otherwise q is 1.5 times as wide.
    """

    def __init__(self, exact: bool) -> None:
        torch.manual_seed(0)
        self.w, self.s = torch.randn(6, 2, dtype=torch.float64), 0.5
        covariance = torch.linalg.inv(torch.eye(2) + self.w.T @ self.w / self.s**2)
        self.factor = torch.linalg.cholesky(covariance) * (1 if exact else 1.5)
        self.gain = covariance @ self.w.T / self.s**2

    def nats(self, x: Tensor) -> float:
        covariance = self.w @ self.w.T + self.s**2 * torch.eye(6, dtype=torch.float64)
        return float(-MultivariateNormal(torch.zeros(6, dtype=torch.float64), covariance).log_prob(x).mean())

    def log_weights(self, x: Tensor, draws: int, generator: Generator | None) -> Tensor:
        q = MultivariateNormal((x @ self.gain.T)[:, None].expand(-1, draws, -1), scale_tril=self.factor)
        z = q.mean + torch.randn(q.mean.shape, generator=generator, dtype=torch.float64) @ self.factor.T
        likelihood = MultivariateNormal(z @ self.w.T, self.s**2 * torch.eye(6, dtype=torch.float64))
        prior = MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
        return likelihood.log_prob(x[:, None]) + prior.log_prob(z) - q.log_prob(z)

    def images(self) -> Tensor:
        return torch.randn(200, 2, dtype=torch.float64) @ self.w.T + self.s * torch.randn(200, 6, dtype=torch.float64)


def test_the_importance_sampled_bound_is_the_likelihood_under_the_exact_posterior() -> None:
    model = LinearGaussian(exact=True)
    x = model.images()
    nats, _ = importance_sampled_nats(model.log_weights, x, k=1)
    assert nats == pytest.approx(model.nats(x), abs=1e-9)


def test_the_importance_sampled_bound_tightens_with_draws_and_stays_a_bound() -> None:
    model = LinearGaussian(exact=False)
    x = model.images()
    found = [importance_sampled_nats(model.log_weights, x, k, Generator().manual_seed(0))[0] for k in (1, 10, 130, 2000)]
    assert found == sorted(found, reverse=True)
    assert found[0] > model.nats(x) + 0.1
    assert found[-1] == pytest.approx(model.nats(x), abs=0.01)


@torch.no_grad()
def test_log_weights_of_a_vae_average_to_its_evidence_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of the log-weights over draws is the ELBO, which `validation_step` computes in another way."""
    torch.manual_seed(0)
    logged: dict[str, Tensor] = {}
    model, images = VAE(latent_dim=4, channels=16).eval(), torch.rand(4, 1, 28, 28).round()
    monkeypatch.setattr(VAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    weights = model.log_weights(images, 2000, Generator().manual_seed(0)).mean()
    elbos = []
    for _ in range(200):
        model.validation_step([images, torch.arange(4)], 0)
        elbos.append(logged["val/nelbo"])
    assert float(-weights) == pytest.approx(float(torch.stack(elbos).mean()), rel=1e-3)


@torch.no_grad()
def test_grey_images_have_no_likelihood_under_bernoulli_pixels() -> None:
    with pytest.raises(ValueError, match="expected images of 0 and 1, got grey ones"):
        VAE(channels=16).log_weights(torch.full((2, 1, 28, 28), 0.5), 1)
    assert math.isfinite(VAE(channels=16, likelihood="gaussian").log_weights(torch.full((2, 1, 28, 28), 0.5), 1).sum())


def test_known_radii_of_real_images_give_the_same() -> None:
    torch.manual_seed(0)
    real, drawn = torch.randn(60, 4), torch.randn(50, 4)
    metric = Neighbourhoods(5, recall=False, real_radii=radii(real.double(), 5))
    metric.update(real, real=True)
    metric.update(drawn, real=False)
    whole = neighbourhoods(real, drawn)
    assert {name: float(value) for name, value in metric.compute().items()} == {name: whole[name] for name in ("density", "coverage")}
