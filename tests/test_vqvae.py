"""The VQ-VAE: its codebook, its two phases, its samplers and its variants."""

from pathlib import Path

import pytest
import torch
from builders import build
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from lit_models.contracts import HasSteps
from lit_models.losses import bernoulli_loss, commitment_loss, squared_error
from lit_models.nn.transformer import CodePrior
from lit_models.sampling.code_frequencies import CodeFrequencies
from lit_models.vqvae import VQVAE

SMALL = dict(n_codes=8, channels=16, prior_width=32, prior_layers=1)


@torch.no_grad()
def test_vqvae_decodes_a_code_as_the_nearest_code_of_its_codebook() -> None:
    model = build("vqvae")
    codes = model.encode(torch.rand(4, 1, 28, 28))
    nearest_gap = torch.cdist(model.quantiser.codebook, model.quantiser.codebook).fill_diagonal_(9e9).min()
    noisy = codes + 0.2 * nearest_gap / codes.shape[1] ** 0.5 * torch.randn_like(codes).clamp(-1, 1)
    torch.testing.assert_close(model.decode(noisy), model.decode(codes))


@pytest.mark.parametrize(("autoencoder_steps", "moves"), [(100, {"encoder", "decoder", "quantiser"}), (-1, {"prior"})])
def test_vqvae_trains_one_part_per_phase(autoencoder_steps: int, moves: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VQVAE, "log_dict", lambda *args, **kwargs: None)
    model = VQVAE(n_codes=32, channels=16, prior_width=32, prior_layers=1, autoencoder_steps=autoencoder_steps, prior_steps=50)
    model.quantiser.update(model.encoder(torch.rand(32, 1, 28, 28)).detach())
    configured = model.configure_optimizers()
    optimizer = configured["optimizer"]
    monkeypatch.setattr(VQVAE, "lr_schedulers", lambda self: configured["lr_scheduler"]["scheduler"])
    for group in optimizer.param_groups:  # with these moments, Adam would also move a part whose gradient is zero
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
def test_vqvae_samples_from_the_named_sampler() -> None:
    model = build("vqvae")
    assert list(model.samplers) == ["autoregressive", "frequencies", "uniform"]
    for sampler in model.samplers:
        assert model.sample(4, sampler=sampler).shape == (4, 1, 28, 28)
    with pytest.raises(ValueError, match="takes no labels"):
        model.sample(4, torch.arange(4), sampler="uniform")
    with pytest.raises(ValueError, match=r"sampler must be one of autoregressive, frequencies, uniform .* got 'gaussian'"):
        model.sample(4, sampler="gaussian")
    model.prior_begun.fill_(False)
    assert list(model.samplers) == ["frequencies", "uniform"]
    uniform = VQVAE(n_codes=32, channels=16, sampler="uniform")
    assert uniform.default_sampler == "uniform"
    assert uniform.classes is None


@torch.no_grad()
def test_frequencies_draw_the_codes_of_the_class_at_each_position() -> None:
    codes = torch.arange(50)[:, None, None].expand(50, 4, 4) % 10  # the code of every position is the label
    drawn = CodeFrequencies(codes.flatten(1), torch.arange(50) % 10).draw(20, torch.arange(20) % 10)
    assert torch.equal(drawn, (torch.arange(20) % 10)[:, None].expand(20, 16))


@torch.no_grad()
@pytest.mark.parametrize("binary", [True, False])
def test_the_reconstruction_term_is_in_nats_on_binary_images_and_a_squared_error_on_grey_ones(
    binary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(VQVAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    monkeypatch.setattr("lit_models.vqvae.phase_of", lambda module: 0)
    monkeypatch.setattr("lit_models.vqvae.phase_begins", lambda module: False)
    model, images, labels = build("vqvae"), torch.rand(8, 1, 28, 28), torch.arange(8)
    images = images.round() if binary else images
    vectors = model.encoder(images)
    model.validation_step([images, labels], 0)
    logits = model.decoder(model.encode(images))
    expected = (bernoulli_loss(logits, images) if binary else squared_error(logits.sigmoid(), images)).mean()
    torch.testing.assert_close(logged["val/reconstruction"], expected)
    torch.testing.assert_close(logged["val/mse"], squared_error(logits.sigmoid(), images).mean() / 784)
    monkeypatch.setattr(model.quantiser, "update", lambda vectors: None)
    model.training_step([images, labels], 0)
    torch.testing.assert_close(logged["train/reconstruction"], expected)
    commitment = commitment_loss(vectors, model.encode(images), 784, nats=binary).mean()
    torch.testing.assert_close(logged["train/commitment"], commitment)


def test_the_first_batch_decides_whether_images_are_binary() -> None:
    model, grey = build("vqvae"), torch.rand(2, 1, 28, 28)
    assert model._is_binary(grey.round())
    assert model._is_binary(grey), "only one batch is looked at"
    assert not build("vqvae")._is_binary(grey)
    assert not any("binary" in key for key in model.state_dict())


@torch.no_grad()
def test_the_loss_of_a_binarised_run_is_the_length_of_its_code_given_the_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one label in the training images, `code_length` sums over this label alone."""
    logged: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(VQVAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    model, images = build("vqvae"), torch.rand(8, 1, 28, 28).round()
    model.training_codes.keep(model.indices(images), torch.full((8,), 4))
    model.validation_step([images, torch.full((8,), 4)], 0)
    torch.testing.assert_close(logged["val/loss"], model.code_length(images).mean())


def with_masked_prior(n: int = 32) -> tuple[VQVAE, torch.Tensor]:
    """A small model with a masked prior, as after some training, and images."""
    torch.manual_seed(0)
    model, images = VQVAE(**SMALL, sampler="masked"), torch.rand(n, 1, 28, 28)
    model.quantiser.update(model.encoder(images).detach())
    model.prior_begun.fill_(True)
    model.training_codes.keep(model.indices(images), torch.arange(n) % 10)
    return model.eval(), images


@torch.no_grad()
def test_the_sampler_masked_takes_the_place_of_the_autoregressive_one() -> None:
    model, _ = with_masked_prior()
    assert list(model.samplers) == ["masked", "frequencies", "uniform"]
    assert model.default_sampler == "masked"
    assert isinstance(model, HasSteps)
    assert model.steps == 5
    images = [model.sample(3, 4, torch.Generator().manual_seed(0), steps=steps) for steps in (None, 5, 2)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    model.steps = 2
    assert torch.equal(model.sample(3, 4, torch.Generator().manual_seed(0)), images[2])
    autoregressive = build("vqvae")
    assert isinstance(autoregressive.prior, CodePrior)
    assert not isinstance(autoregressive, HasSteps)


def test_steps_are_refused_by_other_samplers() -> None:
    with pytest.raises(ValueError, match="steps expected the sampler masked, got uniform: leave steps out"):
        with_masked_prior()[0].sample(3, sampler="uniform", steps=4)
    with pytest.raises(ValueError, match="steps expected the sampler masked, got autoregressive"):
        build("vqvae").sample(3, steps=4)


@torch.no_grad()
def test_redraw_changes_the_chosen_cells_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = with_masked_prior()
    decoded: list[torch.Tensor] = []
    monkeypatch.setattr(model, "lookup", lambda indices: decoded.append(indices) or model.quantiser.lookup(indices))
    cells = torch.zeros(4, 4, dtype=torch.bool)
    cells[1:3, 2:] = True
    for labels in (None, 3):
        redrawn = model.redraw(images, cells, labels, torch.Generator().manual_seed(0))
        assert redrawn.shape == images.shape
        changed = decoded[-1] != model.indices(images)
        assert torch.equal(changed.any(dim=0), cells)
        assert torch.equal(redrawn, model.redraw(images, cells, labels, torch.Generator().manual_seed(0)))
    nothing = model.redraw(images, torch.zeros(4, 4, dtype=torch.bool))
    torch.testing.assert_close(nothing, model.reconstruct(images))


def test_redraw_is_refused_without_a_masked_prior_or_with_cells_of_another_shape() -> None:
    cells = torch.ones(4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"got 'masked'"):
        build("vqvae").redraw(torch.rand(2, 1, 28, 28), cells)
    model, images = with_masked_prior()
    for wrong in (cells[:2], cells.float()):
        with pytest.raises(ValueError, match=r"redraw expected booleans of shape \(4, 4\), got torch"):
            model.redraw(images, wrong)
    model.prior_begun.fill_(False)
    with pytest.raises(ValueError, match="at this stage of training"):
        model.redraw(images, cells)


@torch.no_grad()
def test_the_validation_value_is_the_same_twice_and_moves_no_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[torch.Tensor] = []
    monkeypatch.setattr(VQVAE, "log_dict", lambda self, terms, **kwargs: logged.append(terms["val/prior"]))
    model, images = with_masked_prior()
    before = torch.get_rng_state()
    for _ in range(2):
        model.validation_step([images, torch.arange(32) % 10], 0)
    assert torch.equal(*logged)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.code_length(images.round()).shape == (32,)


@pytest.mark.parametrize(
    "variant", [{"sampler": "masked"}, {"quantiser": "fsq", "levels": (5, 4)}, {"sampler": "masked", "quantiser": "fsq"}]
)
@pytest.mark.parametrize(("image_shape", "classes"), [((1, 28, 28), 10), ((3, 32, 32), 4), ((1, 28, 28), None)])
def test_each_variant_is_trained_saved_loaded_and_sampled(
    image_shape: tuple[int, int, int], classes: int | None, variant: dict[str, str], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, again = saved_and_loaded(
        VQVAE(**SMALL, **variant, image_shape=image_shape, classes=classes, autoencoder_steps=1, prior_steps=1), tmp_path
    )
    assert again.n_codes == len(again.quantiser.codebook)
    labels = None if classes is None else 1
    for sampler in model.samplers:
        given = None if sampler == "uniform" else labels
        images = [each.sample(3, given, torch.Generator().manual_seed(0), sampler) for each in (model, again)]
        assert images[0].shape == (3, *image_shape)
        assert torch.equal(*images)
    if "sampler" in variant:
        assert again.redraw(torch.rand(2, *image_shape), torch.eye(4, dtype=torch.bool)).shape == (2, *image_shape)


def saved_and_loaded(model: VQVAE, folder: Path) -> tuple[LightningModule, LightningModule]:
    """The model after a step of each phase, in which every parameter has moved, and the same from its checkpoint."""
    images, labels = torch.rand(16, *model.image_shape), torch.arange(16) % (model.label_count or 1)
    rows = [(image,) if model.label_count is None else (image, label) for image, label in zip(images, labels, strict=True)]
    before = {name: value.clone() for name, value in model.named_parameters()}
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = Trainer(accelerator="cpu", max_epochs=1, default_root_dir=folder, **quiet)
    trainer.fit(model, DataLoader(rows, batch_size=8))
    assert not [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    trainer.save_checkpoint(folder / "saved.ckpt")
    return model.eval(), VQVAE.load_from_checkpoint(folder / "saved.ckpt", weights_only=True).eval()
