"""Losses agree with reference implementations and share one scale."""

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from lit_models.losses import (
    MNIST_VARIANCE,
    bernoulli_loss,
    commitment_loss,
    discriminator_loss,
    gaussian_kl,
    gaussian_nll,
    generator_loss,
    gradient_penalty,
    is_binary,
    negative_log_likelihood,
    squared_error,
)


def test_kl_agrees_with_torch_distributions() -> None:
    mean, log_var = torch.randn(2, 8, 16)
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(gaussian_kl(mean, log_var), expected)


def test_bernoulli_loss_is_the_negative_log_probability_of_binary_pixels() -> None:
    logits, images = torch.randn(4, 1, 28, 28), torch.rand(4, 1, 28, 28).round()
    expected = -Bernoulli(logits=logits).log_prob(images).sum(dim=(1, 2, 3))
    torch.testing.assert_close(bernoulli_loss(logits, images), expected)


def test_gaussian_nll_agrees_with_torch_distributions() -> None:
    means, images, log_var = torch.rand(4, 1, 28, 28), torch.rand(4, 1, 28, 28), torch.tensor(-2.0)
    expected = -Normal(means, (0.5 * log_var).exp()).log_prob(images).sum(dim=(1, 2, 3))
    torch.testing.assert_close(gaussian_nll(means, images, log_var), expected)


def test_code_likelihood_is_a_sum_of_cross_entropies() -> None:
    logits, codes = torch.randn(3, 5, 7), torch.randint(7, (3, 5))
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="none").view(3, 5).sum(dim=1)
    torch.testing.assert_close(negative_log_likelihood(logits, codes), expected)


@pytest.mark.parametrize("batch", [1, 16, 64])
@pytest.mark.parametrize("dim", [2, 16])
@pytest.mark.parametrize("grid", [4, 5, 7])
def test_commitment_keeps_the_papers_ratio_to_reconstruction_for_any_shape(batch: int, dim: int, grid: int) -> None:
    vectors, offset = torch.randn(batch, dim, grid, grid), 0.3
    images = torch.rand(batch, 1, 28, 28)
    ours = squared_error(images + 0.1, images).mean(), commitment_loss(vectors, vectors + offset, 784).mean()
    papers = torch.tensor(0.1**2 / MNIST_VARIANCE), torch.tensor(0.25 * offset**2)
    torch.testing.assert_close(ours[1] / ours[0], papers[1] / papers[0])
    torch.testing.assert_close(ours[0], papers[0] * 784 * MNIST_VARIANCE)


def test_commitment_in_nats_keeps_the_papers_ratio_to_gaussian_nats() -> None:
    """Nats of Gaussian pixels with the data's variance, without their constant, are 784 / 2 times the paper's reconstruction."""
    vectors, offset, log_var = torch.randn(4, 2, 4, 4), 0.3, torch.tensor(MNIST_VARIANCE).log()
    images = torch.rand(4, 1, 28, 28)
    nats = (gaussian_nll(images + 0.1, images, log_var) - gaussian_nll(images, images, log_var)).mean()
    papers = torch.tensor(0.1**2 / MNIST_VARIANCE), torch.tensor(0.25 * offset**2)
    ours = commitment_loss(vectors, vectors + offset, 784, nats=True).mean()
    torch.testing.assert_close(ours / nats, papers[1] / papers[0], rtol=1e-4, atol=0)


def test_losses_refuse_to_broadcast() -> None:
    with pytest.raises(ValueError, match="must share a shape"):
        squared_error(torch.zeros(4, 1, 28, 28), torch.zeros(1, 1, 28, 28))
    with pytest.raises(ValueError, match="must share a shape"):
        gaussian_kl(torch.zeros(4, 8), torch.zeros(4, 1))


def test_only_zeros_and_ones_count_as_binary() -> None:
    assert is_binary(torch.rand(2, 1, 28, 28).round())
    assert not is_binary(torch.rand(2, 1, 28, 28))


@pytest.mark.parametrize("kind", ["relativistic", "hinge", "non_saturating"])
def test_adversarial_losses_agree_with_their_equations(kind: str) -> None:
    real, fake = torch.randn(2, 64)
    log, one = torch.log, torch.ones(())
    expected = {
        "relativistic": (-log(torch.sigmoid(real - fake)), -log(torch.sigmoid(fake - real))),
        "hinge": ((one - real).clamp_min(0) + (one + fake).clamp_min(0), -fake),
        "non_saturating": (-log(torch.sigmoid(real)) - log(1 - torch.sigmoid(fake)), -log(torch.sigmoid(fake))),
    }[kind]
    torch.testing.assert_close(discriminator_loss(real, fake, kind), expected[0])
    torch.testing.assert_close(generator_loss(real, fake, kind), expected[1])
    with pytest.raises(ValueError, match="must share a shape"):
        discriminator_loss(real, fake[:1], kind)


def test_gradient_penalty_of_a_linear_score_is_the_square_of_its_weights() -> None:
    weights, images = torch.randn(784), torch.rand(5, 1, 28, 28, requires_grad=True)
    torch.testing.assert_close(gradient_penalty(images.flatten(1) @ weights, images), weights.square().sum().expand(5))
