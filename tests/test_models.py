"""The models' contract: one parametrised test runs all models through their verbs."""

from pathlib import Path

import pytest
import torch
from conftest import MODELS
from lightning.pytorch import LightningModule

from lit_models.ae import AE
from lit_models.classifier import Classifier
from lit_models.contracts import CanDecode, CanEncode, CanReconstruct, CanSample, HasAnchors, HasCodebook, HasPriors, HasTrainingCodes
from lit_models.vae import VAE
from lit_models.vqvae import VQVAE

VERBS = {"ae": (), "vae": (), "vqvae": (HasCodebook, HasPriors)}
EVERY = (CanEncode, CanDecode, CanReconstruct, CanSample, HasTrainingCodes, HasCodebook, HasPriors, HasAnchors)
SHARED = (CanEncode, CanDecode, CanReconstruct, CanSample, HasTrainingCodes)


def build(name: str) -> LightningModule:
    """Small, with codebook and training codes as after some training."""
    torch.manual_seed(0)
    if name == "vqvae":
        model = VQVAE(n_codes=32, channels=16, prior_width=32, prior_layers=1)
        model.quantiser.update(model.encoder(torch.rand(32, 1, 28, 28)).detach())
        model.prior_begun.fill_(True)
        model.training_codes.keep(model.indices(torch.rand(50, 1, 28, 28)), torch.arange(50) % 10)
        return model.eval()
    model = {"ae": AE, "vae": VAE}[name](channels=16)
    model.training_codes.keep(model.encode(torch.rand(50, 1, 28, 28)), torch.arange(50) % 10)
    return model.eval()


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> LightningModule:
    return build(request.param)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_its_verbs_and_only_those(name: str) -> None:
    model = build(name)
    assert {verb for verb in EVERY if isinstance(model, verb)} == {*SHARED, *VERBS[name]}
    assert not any(isinstance(Classifier(channels=16), verb) for verb in EVERY)


@torch.no_grad()
def test_images_cross_the_verbs_in_shape_and_range(model: LightningModule) -> None:
    images = torch.rand(6, 1, 28, 28)
    for result in (model.decode(model.encode(images)), model.reconstruct(images), model.sample(5)):
        assert result.shape[1:] == (1, 28, 28)
        assert result.min() >= 0
        assert result.max() <= 1
    assert model.sample(5).shape[0] == 5


@torch.no_grad()
def test_reconstruct_is_decode_after_encode(model: LightningModule) -> None:
    images = torch.rand(6, 1, 28, 28)
    torch.testing.assert_close(model.reconstruct(images), model.decode(model.encode(images)))


@torch.no_grad()
def test_a_seed_fixes_the_samples_and_leaves_the_default_generator_alone(model: LightningModule) -> None:
    before = torch.get_rng_state()
    first, second, third = (model.sample(8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert torch.equal(torch.get_rng_state(), before)


@torch.no_grad()
def test_labels_are_taken_or_refused(model: LightningModule) -> None:
    if model.classes is None:
        with pytest.raises(ValueError, match="takes no labels"):
            model.sample(3, torch.arange(3))
        return
    assert model.sample(3, torch.arange(3)).shape == (3, 1, 28, 28)
    with pytest.raises(ValueError, match="labels must lie in 0 to 9, got 0 to 10"):
        model.sample(2, torch.tensor([0, 10]))
    with pytest.raises(ValueError, match="expected 4 labels, one a sample, got shape"):
        model.sample(4, torch.arange(3))


def test_no_samples_are_refused(model: LightningModule) -> None:
    with pytest.raises(ValueError, match="expected at least one sample, got n=0"):
        model.sample(0)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter_by_the_end_of_training(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(name).train()
    monkeypatch.setattr(type(model), "log_dict", lambda *args, **kwargs: None)
    phases = (0, model.autoencoder_steps + 1) if name == "vqvae" else (0,)
    reached: set[str] = set()
    for step in phases:
        monkeypatch.setattr(type(model), "global_step", step)
        model.zero_grad()
        model.training_step([torch.rand(8, 1, 28, 28), torch.arange(8)], 0).backward()
        assert all(parameter.grad is not None for parameter in model.parameters()), "DDP waits for every parameter"
        reached |= {parameter for parameter, value in model.named_parameters() if value.grad.abs().sum() > 0}
    assert {parameter for parameter, _ in model.named_parameters()} == reached


def test_a_saved_model_gives_the_same_outputs(model: LightningModule, tmp_path: Path) -> None:
    torch.save(
        {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams), "pytorch-lightning_version": "2.6.6"},
        tmp_path / "m.ckpt",
    )
    loaded = type(model).load_from_checkpoint(tmp_path / "m.ckpt", map_location="cpu").eval()
    images = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(loaded.reconstruct(images), model.reconstruct(images), rtol=0, atol=0)
        draws = [each.sample(6, generator=torch.Generator().manual_seed(3)) for each in (model, loaded)]
    assert torch.equal(*draws)


def test_a_model_without_training_codes_says_so() -> None:
    with pytest.raises(RuntimeError, match="no codes of training images are stored"):
        AE(channels=16).sample(4)


@torch.no_grad()
def test_ae_draws_have_the_training_codes_mean_and_covariance() -> None:
    model = build("ae")
    mixing = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    codes = torch.randn(5000, 16, generator=torch.Generator().manual_seed(1)) @ mixing + 3
    model.training_codes.keep(codes, torch.zeros(5000, dtype=torch.long))
    seen: list[torch.Tensor] = []
    model.decode = lambda drawn: seen.append(drawn) or drawn  # type: ignore[method-assign]
    model.sample(20_000, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(seen[0].mean(dim=0), codes.mean(dim=0), rtol=0, atol=0.15)
    torch.testing.assert_close(seen[0].T.cov(), codes.T.cov(), rtol=0.05, atol=0.8)


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
def test_an_elbo_is_logged_only_where_it_is_one(likelihood: str, images: str, proper: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, torch.Tensor] = {}
    model = VAE(channels=16, likelihood=likelihood).eval()
    monkeypatch.setattr(VAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    grey = torch.rand(8, 1, 28, 28)
    model.validation_step([grey.round() if images == "binary" else grey, torch.arange(8)], 0)
    assert ("val/nelbo" in logged) == proper
    assert not any(word in key for key in logged for word in ("nll", "elbo") if not proper)


@torch.no_grad()
def test_vqvae_decode_snaps_to_the_codebook() -> None:
    model = build("vqvae")
    codes = model.encode(torch.rand(4, 1, 28, 28))
    nearest_gap = torch.cdist(model.quantiser.codebook, model.quantiser.codebook).fill_diagonal_(9e9).min()
    noisy = codes + 0.2 * nearest_gap / codes.shape[1] ** 0.5 * torch.randn_like(codes).clamp(-1, 1)
    torch.testing.assert_close(model.decode(noisy), model.decode(codes))


@pytest.mark.parametrize(("autoencoder_steps", "moves"), [(100, {"encoder", "decoder", "quantiser"}), (-1, {"prior"})])
def test_vqvae_moves_one_part_a_phase(autoencoder_steps: int, moves: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VQVAE, "log_dict", lambda *args, **kwargs: None)
    model = VQVAE(n_codes=32, channels=16, prior_width=32, prior_layers=1, autoencoder_steps=autoencoder_steps)
    model.quantiser.update(model.encoder(torch.rand(32, 1, 28, 28)).detach())
    optimizer = model.configure_optimizers()["optimizer"]
    for group in optimizer.param_groups:  # moments that would go on moving a part which merely had no gradient
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    before = {name: value.clone() for name, value in model.named_parameters()} | {"quantiser.codebook": model.quantiser.codebook.clone()}
    optimizer.zero_grad()
    model.training_step([torch.rand(8, 1, 28, 28), torch.arange(8)], 0).backward()
    optimizer.step()
    after = dict(model.named_parameters()) | {"quantiser.codebook": model.quantiser.codebook}
    assert {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])} == moves


@torch.no_grad()
def test_vqvae_draws_from_the_prior_that_is_named() -> None:
    model = build("vqvae")
    assert model.priors == ("autoregressive", "frequencies", "uniform")
    for prior in model.priors:
        assert model.sample(4, prior=prior).shape == (4, 1, 28, 28)
    with pytest.raises(ValueError, match="takes no labels"):
        model.sample(4, torch.arange(4), prior="uniform")
    with pytest.raises(ValueError, match=r"prior must be one of autoregressive, frequencies, uniform .* got 'gaussian'"):
        model.sample(4, prior="gaussian")
    model.prior_begun.fill_(False)
    assert model.priors == ("frequencies", "uniform")
    uniform = VQVAE(n_codes=32, channels=16, code_prior="uniform")
    assert uniform.priors[0] == "uniform"
    assert uniform.classes is None


@torch.no_grad()
def test_frequencies_take_the_codes_that_the_class_has_at_each_position() -> None:
    model = build("vqvae")
    codes = torch.arange(50)[:, None, None].expand(50, 4, 4) % 10  # the code of every position is the label
    model.training_codes.keep(codes.contiguous(), torch.arange(50) % 10)
    drawn = model._sample_frequencies(20, torch.arange(20) % 10, None)
    assert torch.equal(drawn, (torch.arange(20) % 10)[:, None].expand(20, 16))
