"""The VAE: the two terms of its loss, and when the loss is a bound on the likelihood."""

import pytest
import torch

from lit_models.vae import VAE


def test_vae_warmup_scales_only_the_kl(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, torch.Tensor] = {}
    model = VAE(channels=16, kl_warmup_steps=10)
    monkeypatch.setattr(VAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    monkeypatch.setattr(VAE, "global_step", 4)
    loss = model.training_step([torch.rand(8, 1, 28, 28), torch.arange(8)], 0)
    torch.testing.assert_close(loss, logged["train/reconstruction"] + 0.5 * logged["train/kl"])


@pytest.mark.parametrize(
    ("likelihood", "images", "proper"), [("bernoulli", "grey", False), ("bernoulli", "binary", True), ("gaussian", "grey", True)]
)
def test_an_elbo_is_logged_only_if_the_loss_is_a_bound(likelihood: str, images: str, proper: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, torch.Tensor] = {}
    model = VAE(channels=16, likelihood=likelihood).eval()
    monkeypatch.setattr(VAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    grey = torch.rand(8, 1, 28, 28)
    model.validation_step([grey.round() if images == "binary" else grey, torch.arange(8)], 0)
    assert ("val/nelbo" in logged) == proper
    assert not any(word in key for key in logged for word in ("nll", "elbo") if not proper)


@pytest.mark.parametrize("weights", [{"beta": 0.0}, {"reconstruction_weight": 0.0}])
def test_each_term_of_the_vae_loss_can_be_removed(weights: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The remaining gradient is that of the other term alone."""
    model, logged = VAE(channels=16, **weights), {}
    monkeypatch.setattr(VAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    loss = model.training_step([torch.rand(8, 1, 28, 28), torch.arange(8)], 0)
    alone = logged["train/reconstruction" if "beta" in weights else "train/kl"]
    parameters = list(model.encoder.parameters())
    left, expected = (torch.autograd.grad(term, parameters, retain_graph=True) for term in (loss, alone))
    for one, other in zip(left, expected, strict=True):
        torch.testing.assert_close(one, other)
