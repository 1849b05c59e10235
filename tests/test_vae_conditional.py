"""The conditional VAE: both networks use the label, and its loss is a bound where pixels have a likelihood."""

import pytest
import torch
from builders import build, fit_batches
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn.functional import one_hot

from lit_models.contracts import CanEncode, CanReconstruct, HasPosterior
from lit_models.vae import VAE
from lit_models.vae_conditional import ConditionalVAE


def logged_by(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    logged: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(ConditionalVAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    return logged


def test_the_loss_is_the_bound_of_torch_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    logged, model = logged_by(monkeypatch), ConditionalVAE(channels=16, beta=2.0).eval()
    images, labels = torch.rand(8, 1, 28, 28).round(), torch.arange(8)
    torch.manual_seed(3)
    loss = model.validation_step([images, labels], 0)
    with torch.no_grad():
        mean, log_var = model.encoder(images).chunk(2, dim=1)  # the images of labels begin at 0
        posterior = Normal(mean, (0.5 * log_var).exp())
        torch.manual_seed(3)
        codes = torch.cat([posterior.mean + posterior.stddev * torch.randn_like(mean), one_hot(labels, 10).float()], dim=1)
        nats = -Bernoulli(logits=model.decoder(codes)).log_prob(images).sum(dim=(1, 2, 3)).mean()
        kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(logged["val/nelbo"], nats + kl)
    torch.testing.assert_close(loss.detach(), nats + 2 * kl)


@pytest.mark.parametrize(
    ("likelihood", "images", "proper"), [("bernoulli", "grey", False), ("bernoulli", "binary", True), ("gaussian", "grey", True)]
)
def test_a_bound_is_logged_only_if_the_loss_is_one(likelihood: str, images: str, proper: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    logged, model = logged_by(monkeypatch), ConditionalVAE(channels=16, likelihood=likelihood).eval()
    grey = torch.rand(8, 1, 28, 28)
    model.validation_step([grey.round() if images == "binary" else grey, torch.arange(8)], 0)
    assert ("val/nelbo" in logged) == proper
    assert "val/mse" in logged


def test_the_label_reaches_encoder_and_decoder(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    model = build("vae_conditional")
    fit_batches(model, tmp_path)  # the images of labels begin at 0, where no label differs
    model.eval()
    logged, kls = logged_by(monkeypatch), []
    for label in (0, 1):
        model.validation_step([torch.full((4, 1, 28, 28), 0.5), torch.full((4,), label)], 0)
        kls.append(float(logged["val/kl"].detach()))
    assert kls[0] != kls[1], "q(z|x,y) should differ"
    first, second = (model.sample(4, label, torch.Generator().manual_seed(0)) for label in (0, 1))
    assert not torch.equal(first, second)


@torch.no_grad()
def test_a_code_is_z_and_the_one_hot_label() -> None:
    model = build("vae_conditional")
    z = torch.randn(10, model.latent_dim, generator=torch.Generator().manual_seed(0))
    expected = model.sample(10, torch.arange(10), torch.Generator().manual_seed(0))
    assert torch.equal(model.decode(torch.cat([z, torch.eye(10)], dim=1)), expected)
    assert torch.equal(model(torch.cat([z, torch.eye(10)], dim=1)), expected)


def test_verbs_that_take_no_label_are_missing() -> None:
    model = build("vae_conditional")
    assert not any(isinstance(model, verb) for verb in (CanEncode, CanReconstruct, HasPosterior))


def test_its_networks_differ_from_those_of_the_vae_in_the_label_alone() -> None:
    shapes = [{name: value.shape for name, value in model.named_parameters()} for model in (VAE(), ConditionalVAE())]
    assert shapes[1].keys() - shapes[0].keys() == {"label_image.weight"}
    differing = {name for name in shapes[0].keys() & shapes[1].keys() if shapes[0][name] != shapes[1][name]}
    assert differing == {"decoder.net.0.weight"}, "the decoder's first layer reads ten numbers more"
    vae, ours = VAE().hparams, ConditionalVAE().hparams
    assert {name: vae[name] for name in ours} == dict(ours)
