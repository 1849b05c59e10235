"""The models' contract: one parametrised test runs all models through their verbs."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import MODELS
from lightning.pytorch import LightningModule, Trainer

from datamodules import MNISTDataModule
from lit_models.ae import AE
from lit_models.anchored import AnchoredDecoder
from lit_models.anchors import class_anchors
from lit_models.classifier import Classifier
from lit_models.clusters import Clusters
from lit_models.contracts import CanDecode, CanEncode, CanReconstruct, CanSample, HasAnchors, HasCodebook, HasPriors, HasTrainingCodes
from lit_models.gan import GAN
from lit_models.losses import squared_error
from lit_models.pca import PCAEncoder
from lit_models.pca_ae import PCAAE
from lit_models.pca_vae import PCAVAE
from lit_models.players import check_precision
from lit_models.vae import VAE
from lit_models.vae_gan import VAEGAN
from lit_models.vqvae import VQVAE

ENCODES = (CanEncode, CanDecode, CanReconstruct, CanSample, HasTrainingCodes, HasPriors)
VERBS = {
    "ae": ENCODES,
    "vae": ENCODES,
    "vqvae": (*ENCODES, HasCodebook),
    "gan": (CanDecode, CanSample),
    "gan_conditional": (CanDecode, CanSample),
    "gan_reconstruction": ENCODES,
    "anchored": (CanDecode, CanSample, HasAnchors),
    "pca_ae": ENCODES,
    "pca_vae": ENCODES,
}
EVERY = (CanEncode, CanDecode, CanReconstruct, CanSample, HasTrainingCodes, HasCodebook, HasPriors, HasAnchors)
ENCODERS = [name for name in MODELS if CanEncode in VERBS[name]]
SMALL_GAN = dict(generator_channels=16, discriminator_channels=16)
BUILD = {
    "ae": lambda: AE(channels=16),
    "vae": lambda: VAE(channels=16),
    "vqvae": lambda: VQVAE(n_codes=32, channels=16, prior_width=32, prior_layers=1),
    "gan": lambda: GAN(conditioning="clusters", clusters=5, **SMALL_GAN),
    "gan_conditional": lambda: GAN(conditioning="projection", clusters=2, **SMALL_GAN),
    "gan_reconstruction": lambda: VAEGAN(encoder_channels=16, **SMALL_GAN),
    "anchored": lambda: AnchoredDecoder(channels=16),
    "pca_ae": lambda: PCAAE(channels=16),
    "pca_vae": lambda: PCAVAE(channels=16),
}


def build(name: str) -> LightningModule:
    """Small, with codebook, principal components and training codes as after some training."""
    torch.manual_seed(0)
    model, images, labels = BUILD[name](), torch.rand(50, 1, 28, 28), torch.arange(50) % 10
    if name == "vqvae":
        model.quantiser.update(model.encoder(torch.rand(32, 1, 28, 28)).detach())
        model.prior_begun.fill_(True)
    if name.startswith("pca"):
        model.encoder.fit(images)
    if name in ("gan", "gan_conditional"):
        model.clusters.fit(images, model._groups(labels))
    if name in ENCODERS:
        model.training_codes.keep(model.indices(images) if name == "vqvae" else model.encode(images), labels)
    return model.eval()


def fit_one_batch(model: LightningModule, folder: Path) -> None:
    """A real Trainer and one batch of the small digits."""
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    trainer = Trainer(accelerator="cpu", max_epochs=1, limit_train_batches=1, limit_val_batches=0, default_root_dir=folder, **quiet)
    trainer.fit(model.train(), datamodule=MNISTDataModule("digits", limit=128, batch_size=64))


def moved(before: dict[str, torch.Tensor], model: LightningModule) -> set[str]:
    after = model.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def tensors(model: LightningModule) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> LightningModule:
    return build(request.param)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_its_verbs_and_only_those(name: str) -> None:
    model = build(name)
    assert {verb for verb in EVERY if isinstance(model, verb)} == set(VERBS[name])
    assert not any(isinstance(Classifier(channels=16), verb) for verb in EVERY)


@torch.no_grad()
@pytest.mark.parametrize("name", ENCODERS)
def test_images_cross_the_verbs_in_shape_and_range(name: str) -> None:
    model, images = build(name), torch.rand(6, 1, 28, 28)
    for result in (model.decode(model.encode(images)), model.reconstruct(images)):
        assert result.shape == (6, 1, 28, 28)
        assert result.min() >= 0
        assert result.max() <= 1
    torch.testing.assert_close(model.reconstruct(images), model.decode(model.encode(images)))


@torch.no_grad()
def test_samples_have_shape_and_range(model: LightningModule) -> None:
    images = model.sample(5)
    assert images.shape == (5, 1, 28, 28)
    assert images.min() >= 0
    assert images.max() <= 1


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


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("gan", "gan_conditional", "gan_reconstruction")])
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


@pytest.mark.parametrize("name", MODELS)
def test_training_moves_every_parameter_that_is_trained(name: str, tmp_path: Path) -> None:
    model = build(name) if name != "vqvae" else VQVAE(n_codes=32, channels=16, prior_width=32, prior_layers=1, autoencoder_steps=0)
    frozen = {"encoder", "decoder"} if name == "vqvae" else set()  # in its second phase
    before = tensors(model)
    fit_one_batch(model, tmp_path)
    trained = {key for key, value in model.named_parameters() if value.requires_grad and key.split(".")[0] not in frozen}
    # A class vector of the discriminator or a weight of a bias may have no part in one batch; all others have.
    assert trained <= moved(before, model)


def test_a_saved_model_gives_the_same_outputs(model: LightningModule, tmp_path: Path) -> None:
    torch.save(
        {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams), "pytorch-lightning_version": "2.6.6"},
        tmp_path / "m.ckpt",
    )
    loaded = type(model).load_from_checkpoint(tmp_path / "m.ckpt", map_location="cpu").eval()
    with torch.no_grad():
        draws = [each.sample(6, generator=torch.Generator().manual_seed(3)) for each in (model, loaded)]
        assert torch.equal(*draws)
        if isinstance(model, CanReconstruct):
            images = torch.rand(4, 1, 28, 28)
            assert torch.equal(loaded.reconstruct(images), model.reconstruct(images))


def test_a_model_without_training_codes_says_so() -> None:
    with pytest.raises(RuntimeError, match="no codes of training images are stored"):
        AE(channels=16).sample(4)


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
    assert list(model.priors) == ["autoregressive", "frequencies", "uniform"]
    for prior in model.priors:
        assert model.sample(4, prior=prior).shape == (4, 1, 28, 28)
    with pytest.raises(ValueError, match="takes no labels"):
        model.sample(4, torch.arange(4), prior="uniform")
    with pytest.raises(ValueError, match=r"prior must be one of autoregressive, frequencies, uniform .* got 'gaussian'"):
        model.sample(4, prior="gaussian")
    model.prior_begun.fill_(False)
    assert list(model.priors) == ["frequencies", "uniform"]
    uniform = VQVAE(n_codes=32, channels=16, code_prior="uniform")
    assert next(iter(uniform.priors)) == "uniform"
    assert uniform.classes is None


@torch.no_grad()
def test_frequencies_take_the_codes_that_the_class_has_at_each_position() -> None:
    model = build("vqvae")
    codes = torch.arange(50)[:, None, None].expand(50, 4, 4) % 10  # the code of every position is the label
    model.training_codes.keep(codes.contiguous(), torch.arange(50) % 10)
    drawn = model._sample_frequencies(20, torch.arange(20) % 10, None)
    assert torch.equal(drawn, (torch.arange(20) % 10)[:, None].expand(20, 16))


@pytest.mark.parametrize(("idle", "plays"), [("_generator_turn", "discriminator"), ("_discriminator_turn", "generator")])
@pytest.mark.parametrize("name", ["gan", "gan_conditional"])
def test_a_turn_of_a_gan_moves_only_the_player_whose_turn_it_is(
    name: str, idle: str, plays: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(name)
    monkeypatch.setattr(GAN, idle, lambda *arguments: None)
    before = tensors(model)
    fit_one_batch(model, tmp_path)
    players = {key.split(".")[0] for key in moved(before, model)}
    assert players == ({"generator", "averaged_generator"} if plays == "generator" else {"discriminator"})


@pytest.mark.parametrize(
    ("idle", "players"),
    [
        ("_autoencoder_turn", {"discriminator"}),
        ("_discriminator_turn", {"encoder", "decoder", "averaged_encoder", "averaged_decoder"}),
    ],
)
def test_a_turn_of_a_vae_gan_moves_only_the_players_whose_turn_it_is(
    idle: str, players: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build("gan_reconstruction")
    monkeypatch.setattr(VAEGAN, idle, lambda *arguments: None)
    before = tensors(model)
    fit_one_batch(model, tmp_path)
    assert {key.split(".")[0] for key in moved(before, model)} == players


@torch.no_grad()
def test_samples_of_a_gan_come_from_the_averaged_generator() -> None:
    model, codes = GAN(**SMALL_GAN), torch.randn(4, 64)
    kept = model.decode(codes)
    for parameter in model.generator.parameters():
        parameter.add_(0.1)
    assert torch.equal(model.decode(codes), kept)
    model.averaged_generator.update_parameters(model.generator)  # the first is a copy
    torch.testing.assert_close(model.decode(codes), model.generator(codes).clamp(0, 1))
    before = [parameter.clone() for parameter in model.generator.parameters()]
    for parameter in model.generator.parameters():
        parameter.add_(1.0)
    model.averaged_generator.update_parameters(model.generator)  # after k steps the newest weighs 9 / (10 + k)
    for old, average in zip(before, model.averaged_generator.parameters(), strict=True):
        torch.testing.assert_close(average, old + 9 / 11)


def test_a_gan_in_half_precision_is_refused() -> None:
    check_precision(SimpleNamespace(precision="bf16-mixed"))
    with pytest.raises(ValueError, match=r"a GAN expected --trainer.precision 32-true or bf16-mixed, got 16-mixed"):
        check_precision(SimpleNamespace(precision="16-mixed"))


@pytest.mark.parametrize("weights", [{"beta": 0.0}, {"reconstruction_weight": 0.0}])
def test_each_force_of_a_vae_can_be_taken_away(weights: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient left is that of the other term alone."""
    model, logged = VAE(channels=16, **weights), {}
    monkeypatch.setattr(VAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    loss = model.training_step([torch.rand(8, 1, 28, 28), torch.arange(8)], 0)
    alone = logged["train/reconstruction" if "beta" in weights else "train/kl"]
    parameters = list(model.encoder.parameters())
    left, expected = (torch.autograd.grad(term, parameters, retain_graph=True) for term in (loss, alone))
    for one, other in zip(left, expected, strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
@pytest.mark.parametrize("whiten", [False, True])
def test_pca_axes_are_those_of_the_singular_value_decomposition(whiten: bool) -> None:
    images = load_digits_as_images(300)
    encoder = PCAEncoder(5, whiten)
    encoder.fit(images)
    torch.testing.assert_close(encoder.axes @ encoder.axes.T, torch.eye(5), atol=1e-5, rtol=0)
    flat = images.flatten(1).double()
    _, values, axes = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
    signs = (encoder.axes.double() * axes[:5]).sum(dim=1, keepdim=True).sign()
    torch.testing.assert_close(encoder.axes.double(), signs * axes[:5], atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.variances.double(), values[:5].square() / (len(flat) - 1), rtol=1e-5, atol=0)
    codes = encoder(images)
    torch.testing.assert_close(codes.T.cov().diag(), torch.ones(5) if whiten else encoder.variances, rtol=1e-4, atol=0)


def load_digits_as_images(n: int) -> torch.Tensor:
    data = MNISTDataModule("digits", limit=n)
    data.setup()
    return data.images("train")[0]


def test_pca_is_fitted_once_to_the_training_images(tmp_path: Path) -> None:
    model = PCAAE(channels=16)
    fit_one_batch(model, tmp_path)
    torch.testing.assert_close(model.encoder.mean, load_digits_as_images(128).flatten(1).mean(dim=0), atol=1e-6, rtol=1e-4)
    model.encoder.axes.mul_(-1)  # a sign that no fit would give
    before = model.encoder.axes.clone()
    fit_one_batch(model, tmp_path)
    assert torch.equal(model.encoder.axes, before)
    with pytest.raises(ValueError, match="200 principal components expected as many images at least, got 128"):
        fit_one_batch(PCAAE(latent_dim=200, channels=16), tmp_path)


@torch.no_grad()
def test_matched_noise_is_the_best_assignment_of_the_same_draws() -> None:
    model = AnchoredDecoder(channels=16, noise_assignment="matched").eval()
    images, labels = load_digits_as_images(128)[:10], torch.tensor([3, 3, 3, 3, 3, 7, 7, 7, 7, 0])
    codes = model.anchors()[labels] + 3 * torch.randn(10, 16, generator=torch.Generator().manual_seed(0))
    matched = model._matched(codes, images, labels)

    def cost(dealt: torch.Tensor) -> float:
        return float(squared_error(model.decode(dealt), images).sum())

    best = float("inf")
    for threes in itertools.permutations(range(5)):
        for sevens in itertools.permutations(range(5, 9)):
            best = min(best, cost(codes[[*threes, *sevens, 9]]))
    assert cost(matched) == pytest.approx(best, rel=1e-5)
    assert cost(matched) < cost(codes)
    for digit in (3, 7, 0):  # of each class the same draws
        torch.testing.assert_close(matched[labels == digit].sort(dim=0).values, codes[labels == digit].sort(dim=0).values)


@pytest.mark.parametrize("layout", ["line", "circle", "simplex"])
def test_neighbouring_anchors_lie_the_root_of_the_dimension_apart(layout: str) -> None:
    anchors = class_anchors(layout, 16)
    apart = torch.cdist(anchors, anchors)
    torch.testing.assert_close(apart.diagonal(1), torch.full((9,), 4.0))
    if layout == "line":
        torch.testing.assert_close(anchors, torch.arange(10.0)[:, None] * torch.ones(16))
    else:
        assert float(apart[0, 9]) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="expected latent_dim of at least"):
        class_anchors(layout, 0)


@torch.no_grad()
def test_clusters_are_the_nearest_centres_and_drawn_as_often_as_they_occur() -> None:
    clusters, images, groups = Clusters(5, groups=2), load_digits_as_images(300), torch.arange(300) % 2
    clusters.fit(images, groups)
    found = clusters(images, groups)
    for image, group, cluster in zip(images.flatten(1), groups.tolist(), found.tolist(), strict=True):
        assert cluster - 5 * group == (clusters.centres[group] - image).norm(dim=1).argmin()
    shares = torch.stack([found[groups == group].bincount(minlength=10)[5 * group : 5 * group + 5] / 150 for group in (0, 1)])
    torch.testing.assert_close(clusters.shares, shares, atol=0.05, rtol=0)
    drawn = clusters.draw(torch.ones(20_000, dtype=torch.long), torch.Generator().manual_seed(0)).bincount(minlength=10) / 20_000
    torch.testing.assert_close(drawn, torch.cat([torch.zeros(5), clusters.shares[1]]), atol=0.02, rtol=0)
    with pytest.raises(ValueError, match="50 clusters expected as many images at least, got 20"):
        Clusters(50).fit(images[:20], torch.zeros(20))


@torch.no_grad()
@pytest.mark.parametrize(("conditioning", "classes"), [("none", None), ("clusters", None), ("projection", 10), ("noise", 10)])
def test_a_gan_takes_the_labels_that_its_conditioning_knows(conditioning: str, classes: int | None) -> None:
    model = GAN(conditioning=conditioning, **SMALL_GAN)
    assert model.classes == classes
    assert model.sample(3).shape == (3, 1, 28, 28)
    if classes is None:
        with pytest.raises(ValueError, match="takes no labels"):
            model.sample(3, torch.arange(3))
    else:
        assert not torch.equal(*(model.sample(1, torch.tensor([y]), torch.Generator().manual_seed(0)) for y in (0, 1)))
