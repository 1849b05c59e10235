"""Latent densities: their draws, their log-density, and codes with a degenerate covariance."""

import warnings
from typing import get_args

import pytest
import torch
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neighbors import KernelDensity
from torch.distributions import MultivariateNormal

from lit_models.ae import AE
from lit_models.sampling.densities import BANDWIDTHS, DensityName, _bandwidth, fit_density, standard_normal

NAMES = get_args(DensityName)
FITTED = [name for name in NAMES if name != "normal"]


def codes_of(width: int = 4, n: int = 3000) -> tuple[torch.Tensor, torch.Tensor]:
    """`n` codes in ten clusters, which are stretched and off centre, and their labels."""
    generator, labels = torch.Generator().manual_seed(0), torch.arange(n) % 10
    mixing, centres = torch.randn(width, width, generator=generator), 3 * torch.randn(10, width, generator=generator)
    return (torch.randn(n, width, generator=generator) + centres[labels]) @ mixing + 5, labels


@pytest.mark.parametrize("name", FITTED)
def test_draws_have_the_mean_and_covariance_of_the_training_codes(name: str) -> None:
    codes, labels = codes_of()
    density = fit_density(name, codes, labels)
    drawn, expected = density.draw(40_000, generator=torch.Generator().manual_seed(1)), codes.double()
    width = expected.std(dim=0)
    assert ((drawn.mean(dim=0) - expected.mean(dim=0)).abs() < 0.03 * width).all()
    # A kernel of bandwidth h adds h^2 times the covariance.
    wider = 1 + (density.factors[0] @ density.factors[0].T).trace() / expected.T.cov().trace() if name == "kde" else 1.0
    assert ((drawn.T.cov() - wider * expected.T.cov()).abs() < 0.04 * torch.outer(width, width)).all()


@pytest.mark.parametrize("name", ["class_gaussian", "class_gmm"])
def test_codes_of_a_label_are_drawn_from_its_class(name: str) -> None:
    codes, labels = codes_of()
    density = fit_density(name, codes, labels)
    sevens = density.draw(5000, torch.full((5000,), 7), torch.Generator().manual_seed(0))
    expected = codes[labels == 7].double()
    torch.testing.assert_close(sevens.mean(dim=0), expected.mean(dim=0), atol=0.15, rtol=0)
    with pytest.raises(ValueError, match="takes no labels"):
        fit_density("gmm", codes, labels).draw(3, torch.arange(3))


def test_log_density_agrees_with_torch_and_scikit_learn() -> None:
    codes, labels = codes_of()
    points = codes[:50].double()
    gaussian = fit_density("gaussian", codes, labels)
    expected = MultivariateNormal(codes.double().mean(dim=0), codes.double().T.cov(correction=0)).log_prob(points)
    torch.testing.assert_close(gaussian.log_density(points), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        standard_normal(4).log_density(points),
        MultivariateNormal(torch.zeros(4), torch.eye(4)).log_prob(points.float()).double(),
        rtol=1e-5,
        atol=0,
    )
    ours = fit_density("gmm", codes, labels).log_density(points).mean()
    theirs = GaussianMixture(20, random_state=0).fit(codes.double().numpy()).score(points.numpy())
    assert float(ours) == pytest.approx(theirs, abs=0.2)
    kde = fit_density("kde", codes, labels)
    one_by_one = torch.stack([MultivariateNormal(mean, scale_tril=kde.factors[0]).log_prob(points) for mean in kde.means])
    torch.testing.assert_close(kde.log_density(points), one_by_one.logsumexp(dim=0) - torch.tensor(3000.0).log(), rtol=1e-6, atol=1e-6)


def test_held_out_log_density_is_higher_for_densities_that_fit_better() -> None:
    codes, labels = codes_of(n=6000)
    known, held_out = codes[:5000], codes[5000:]
    nats = {name: float(fit_density(name, known, labels[:5000]).log_density(held_out).mean()) for name in NAMES}
    assert nats["normal"] < nats["gaussian"] < nats["gmm"]
    assert nats["gaussian"] < nats["kde"]
    assert nats["class_gaussian"] == pytest.approx(nats["class_gmm"], abs=0.1), "the clusters are Gaussian, so a mixture gains nothing"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("codes", ["flat", "tiny", "huge", "few", "one"])
def test_degenerate_codes_are_fitted_without_a_warning(name: str, codes: str) -> None:
    given, labels = codes_of()
    if codes == "flat":
        given[:, 2] = 1.0
        given[:, 3] = given[:, 0]
    if codes == "few":
        given, labels = given[:12], labels[:12]
    given = {"tiny": given * 1e-6, "huge": given * 1e6, "one": given[:, :1]}.get(codes, given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        density = fit_density(name, given, labels)
        drawn = density.draw(100, generator=torch.Generator().manual_seed(0))
    assert drawn.isfinite().all()
    assert density.log_density(given[:10]).isfinite().all()
    assert drawn.shape == (100, given.shape[1])


def test_a_density_is_fitted_once_and_again_only_for_new_codes() -> None:
    model = AE(latent_dim=4, channels=16)
    codes, labels = codes_of()
    model.training_codes.keep(codes, labels)
    first = model.training_codes.density("gmm", 4, 10)
    assert model.training_codes.density("gmm", 4, 10) is first
    model.training_codes.keep(codes + 1, labels)
    assert model.training_codes.density("gmm", 4, 10) is not first
    assert set(model.training_codes.get_extra_state()) == {"codes", "labels"}, "no density should be stored"


@torch.no_grad()
def test_a_model_samples_from_the_named_density() -> None:
    model = AE(latent_dim=4, channels=16, sampler="class_gmm")
    model.training_codes.keep(*codes_of())
    assert list(model.samplers) == list(NAMES)
    assert model.default_sampler == "class_gmm"
    assert model.classes == 10
    assert model.sample(3, torch.arange(3)).shape == (3, 1, 28, 28)
    for name in NAMES:
        assert model.sample(3, sampler=name).shape == (3, 1, 28, 28)
    with pytest.raises(ValueError, match="takes no labels"):
        model.sample(3, torch.arange(3), sampler="gaussian")
    with pytest.raises(ValueError, match=r"sampler must be one of normal, gaussian, .* got 'flow'"):
        model.sample(3, sampler="flow")


@pytest.mark.parametrize(("width", "n"), [(2, 300), (4, 1000), (16, 1500)])
def test_the_bandwidth_of_the_kernel_density_agrees_with_a_grid_search(width: int, n: int) -> None:
    white = torch.randn(n, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    white[: n // 2] *= 0.3
    split = ShuffleSplit(1, test_size=min(500, n // 5), random_state=0)
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=split, refit=False).fit(white.numpy())
    assert _bandwidth(white) == search.best_params_["bandwidth"]
