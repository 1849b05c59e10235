"""The contract of the models: one parametrised test runs all of them through their verbs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from builders import BUILD, build, fit_batches, moved, tensors
from conftest import MODELS
from lightning.pytorch import LightningModule

from lit_models.ae import AE
from lit_models.contracts import CanDecode, CanEncode, CanReconstruct, CanSample, HasAnchors, HasCodebook, HasSamplers, HasTrainingCodes
from lit_models.evaluation.classifier import Classifier
from lit_models.gan import GAN

ENCODES = (CanEncode, CanDecode, CanReconstruct, CanSample, HasTrainingCodes, HasSamplers)
VERBS = {
    "ae": ENCODES,
    "vae": ENCODES,
    "vae_conditional": (CanDecode, CanSample),
    "vqvae": (*ENCODES, HasCodebook),
    "gan": (CanDecode, CanSample),
    "gan_conditional": (CanDecode, CanSample),
    "vae_gan": ENCODES,
    "latent_flow": ENCODES,
    "flow": (CanSample,),
    "text_flow": ENCODES,
    "pixels": (CanSample,),
    "anchored": (CanDecode, CanSample, HasAnchors),
    "pca_ae": ENCODES,
    "pca_vae": ENCODES,
}
EVERY = (CanEncode, CanDecode, CanReconstruct, CanSample, HasTrainingCodes, HasCodebook, HasSamplers, HasAnchors)
ENCODERS = [name for name in MODELS if CanEncode in VERBS[name]]


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
    with pytest.raises(ValueError, match="expected 4 labels, one per sample, got shape"):
        model.sample(4, torch.arange(3))
    with pytest.raises(ValueError, match="expected labels as integers, got '7'"):
        model.sample(4, "7")


def test_no_samples_are_refused(model: LightningModule) -> None:
    with pytest.raises(ValueError, match="expected at least one sample, got n=0"):
        model.sample(0)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("gan", "gan_conditional", "vae_gan")])
def test_gradients_reach_every_parameter_by_the_end_of_training(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(name).train()
    monkeypatch.setattr(type(model), "log_dict", lambda *args, **kwargs: None)
    parameters = {key: value for key, value in model.named_parameters() if value.requires_grad}
    with torch.no_grad():  # some layers are 0 before training
        for value in parameters.values():
            value.add_(0.01 * torch.randn_like(value))
    reached: set[str] = set()
    for phase in (0, 1) if name in ("vqvae", "latent_flow", "text_flow") else (0,):
        for module in ("lit_models.vqvae", "lit_models.text_flow", "lit_models.training.prior_phase"):
            monkeypatch.setattr(f"{module}.phase_of", lambda module, phase=phase: phase, raising=False)
            monkeypatch.setattr(f"{module}.phase_begins", lambda module: False)
        model.zero_grad()
        model.training_step([torch.rand(8, 1, 28, 28).round(), torch.arange(8)], 0).backward()
        assert all(value.grad is not None for value in parameters.values()), "DDP waits for every parameter"
        reached |= {key for key, value in parameters.items() if value.grad.abs().sum() > 0}
    assert reached == parameters.keys()


@pytest.mark.parametrize("name", MODELS)
def test_training_moves_every_parameter_that_is_trained(name: str, tmp_path: Path) -> None:
    first = {"vqvae": {"autoencoder_steps": 0}, "latent_flow": {"lr_steps": 0}, "text_flow": {"lr_steps": 0}}.get(name, {})
    model = BUILD[name](**first) if first else build(name)
    frozen = {"encoder", "decoder"} if first else set()  # in its second phase
    before = tensors(model)
    # Layers that are 0 before training let gradients through to the others only once they have moved.
    fit_batches(model, tmp_path, batches=4 if "flow" in name else 1)
    trained = {key for key, value in model.named_parameters() if value.requires_grad and key.split(".")[0] not in frozen}
    if model.hparams.get("loss") == "relativistic":  # it sees differences of scores: their bias moves by rounding, or not at all
        trained.discard("discriminator.score.bias")
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


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GAN(conditioning="foo"), "conditioning must be one of none, clusters, projection, noise, got 'foo'"),
        (lambda: GAN(loss="wgan"), "loss must be one of relativistic, hinge, non_saturating, got 'wgan'"),
        (lambda: AE(sampler="foo"), "sampler must be one of normal, gaussian"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_by_the_constructor(make: Callable[[], LightningModule], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
