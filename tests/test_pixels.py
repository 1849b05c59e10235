"""Autoregressive pixels: a distribution that sums to one, the same with and without its cache, and what Bayes' rule makes of it."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from builders import moved
from lightning.pytorch import LightningModule
from test_callbacks import trainer_in
from torch import Tensor
from torch.distributions import Bernoulli

from datamodules import ImageDataModule
from lit_models.contracts import CanClassify, CanComplete, CanEncode, CanSample, HasLogLikelihood, HasSamplers
from lit_models.pixels import Pixels

TINY = dict(width=16, layers=2, heads=2, units=3)


def tiny(image_shape: tuple[int, int, int] = (1, 2, 3), classes: int | None = 3) -> Pixels:
    """A model whose predictions are far from one half, and differ much between classes."""
    torch.manual_seed(0)
    model = Pixels(image_shape=image_shape, classes=classes, **TINY)
    for parameter in model.parameters():
        parameter.data *= 2
    model.network.embed_class.weight.data *= 20
    return model.eval()


def every_image(image_shape: tuple[int, int, int]) -> Tensor:
    numbers = math.prod(image_shape)
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * numbers).view(-1, *image_shape)


def logits_of(model: Pixels, images: Tensor, labels: Tensor) -> Tensor:
    """Logits of the numbers in their order, (B, H W C)."""
    return model.network(model._rows(images), labels).flatten(1)


def logged_by(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    logged: dict[str, Tensor] = {}
    monkeypatch.setattr(Pixels, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    return logged


# -- the distribution


@torch.no_grad()
@pytest.mark.parametrize(
    ("image_shape", "classes"),
    [((1, 2, 3), 3), ((1, 2, 2), None), ((3, 2, 2), 2), ((1, 5, 2), 2)],
    ids=["grey", "no labels", "RGB", "tall"],
)
def test_probabilities_of_all_images_sum_to_one(image_shape: tuple[int, int, int], classes: int | None) -> None:
    model, images = tiny(image_shape, classes), every_image(image_shape)
    assert abs(model.log_likelihood(images).exp().sum() - 1) < 1e-5
    each_class = model._given_each_class(images).exp().sum(dim=0)
    torch.testing.assert_close(each_class, torch.ones(classes or 1), atol=1e-5, rtol=0)
    assert each_class.shape == (classes or 1,)


@torch.no_grad()
@pytest.mark.parametrize("mask", ["before", "up_to", "of_pixel"])
def test_without_a_mask_they_do_not(mask: str) -> None:
    """The control: each of the three masks is needed."""
    model = tiny()
    getattr(model.network.perceptron, mask).fill_(1)
    assert abs(model.log_likelihood(every_image((1, 2, 3))).exp().sum() - 1) > 1e-3


@pytest.mark.parametrize("image_shape", [(1, 5, 4), (3, 4, 2)])
def test_the_logit_of_a_pixel_depends_on_all_pixels_before_it_and_on_no_other(image_shape: tuple[int, int, int]) -> None:
    model, images = tiny(image_shape), torch.rand(8, *image_shape).round().requires_grad_()
    logits = logits_of(model, images, torch.arange(8) % 3)
    for place in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logits[:, place].sum(), images, retain_graph=True)
        reached = model._rows(gradient).flatten(1).abs().amax(dim=0) > 0
        assert reached[:place].all()
        assert not reached[place:].any()


@torch.no_grad()
def test_the_label_changes_the_logits_of_every_pixel() -> None:
    model, images = tiny((1, 5, 4)), torch.rand(8, 1, 5, 4).round()
    first, second = (logits_of(model, images, torch.full((8,), label)) for label in (0, 1))
    assert not torch.isclose(first, second).all(dim=0).any()


@torch.no_grad()
@pytest.mark.parametrize("image_shape", [(1, 3, 4), (3, 2, 2)])
def test_the_log_likelihood_is_the_sum_of_a_loop_over_pixels_and_classes(image_shape: tuple[int, int, int]) -> None:
    model, images = tiny(image_shape), torch.rand(5, *image_shape).round()
    rows = model._rows(images)
    joint = torch.zeros(5, 3)
    for label in range(3):
        for row in range(rows.shape[1]):
            for column in range(rows.shape[2]):
                before = rows.clone()
                before[:, row, column:] = 0.5  # nothing from here on is known
                before[:, row + 1 :] = 0.5
                logits = model.network(before, torch.full((5,), label))[:, row, column]
                joint[:, label] += Bernoulli(logits=logits).log_prob(rows[:, row, column])
    torch.testing.assert_close(model.log_likelihood(images), (joint.exp().sum(dim=1) / 3).log())
    torch.testing.assert_close(model.classify(images), (joint.exp() / joint.exp().sum(dim=1, keepdim=True)).log())
    assert torch.equal(model(images), model.log_likelihood(images))


def test_colours_follow_each_other_and_rows_are_an_inverse_of_images() -> None:
    model, images = tiny((3, 2, 4)), torch.rand(2, 3, 2, 4)
    assert torch.equal(
        model._rows(images)[:, 1, :4], torch.stack([images[:, 0, 1, 0], images[:, 1, 1, 0], images[:, 2, 1, 0], images[:, 0, 1, 1]], 1)
    )
    assert torch.equal(model._images(model._rows(images)), images)


# -- samples and completions


@torch.no_grad()
@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("image_shape", [(1, 6, 4), (3, 3, 2)])
def test_sampling_with_the_cache_gives_the_same_images_as_without(image_shape: tuple[int, int, int], temperature: float) -> None:
    model, labels = tiny(image_shape), torch.arange(32) % 3
    images = model.sample(32, labels, torch.Generator().manual_seed(0), temperature=temperature)
    rows = torch.zeros_like(model._rows(images))
    noise = torch.rand(rows.shape, generator=torch.Generator().manual_seed(0))
    for row in range(rows.shape[1]):
        for column in range(rows.shape[2]):
            logits = model.network(rows, labels)[:, row, column]
            rows[:, row, column] = (noise[:, row, column] < (logits / temperature).sigmoid()).float()
    assert torch.equal(model._rows(images), rows)
    assert images.shape == (32, *image_shape)
    assert 0.1 < images.mean() < 0.9


@torch.no_grad()
def test_samples_have_the_frequencies_of_the_distribution() -> None:
    model, images = tiny((1, 2, 2)), every_image((1, 2, 2))
    drawn = model.sample(20_000, generator=torch.Generator().manual_seed(0))
    numbers = (drawn.flatten(1) @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    found, expected = torch.bincount(numbers, minlength=16) / 20_000, model.log_likelihood(images).exp()
    assert (found - expected).abs().max() < 0.015
    assert (found - 1 / 16).abs().max() > 0.05, "the control: the distribution is not uniform"


@torch.no_grad()
@pytest.mark.parametrize("temperature", [1e-6, 1e-300])
def test_temperature_near_0_gives_the_most_probable_value_of_each_pixel(temperature: float) -> None:
    model, labels = tiny((1, 4, 4)), torch.arange(3)
    images = model.sample(3, labels, temperature=temperature)
    assert torch.equal(logits_of(model, images, labels) > 0, model._rows(images).flatten(1) > 0)


@torch.no_grad()
def test_the_same_seed_gives_the_same_images() -> None:
    model, known = tiny((1, 4, 4)), torch.arange(16).view(4, 4) < 6
    images = torch.rand(9, 1, 4, 4).round()
    samples = [model.sample(9, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    completions = [model.complete(images, known, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    for first, again, other in (samples, completions):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


@torch.no_grad()
def test_sampling_switches_dropout_off_and_restores_the_training_mode() -> None:
    torch.manual_seed(0)
    model = Pixels(image_shape=(1, 4, 4), classes=3, dropout=0.5, **TINY)
    drawn = [model.train(mode).sample(30, torch.arange(30) % 3, torch.Generator().manual_seed(0)) for mode in (True, False)]
    assert torch.equal(*drawn)
    model.train().sample(2)
    assert all(module.training for module in model.modules())
    images = drawn[0][:3]
    assert not torch.equal(model.log_likelihood(images), model.log_likelihood(images)), "the control: dropout acts in training"


# -- the model


def test_grey_images_are_refused_in_the_first_batch_and_by_the_verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    logged_by(monkeypatch)
    grey, labels, refusal = torch.rand(6, 1, 4, 4), torch.arange(6) % 3, "images of 0 and 1, got grey ones: train with --config binarized"
    for step in ("training_step", "validation_step", "test_step"):
        with pytest.raises(ValueError, match=refusal):
            getattr(tiny((1, 4, 4)), step)([grey, labels], 0)
    for verb in ("log_likelihood", "classify"):
        with pytest.raises(ValueError, match=refusal):
            getattr(tiny((1, 4, 4)), verb)(grey)
    model = tiny((1, 4, 4))
    model.training_step([grey.round(), labels], 0)
    model.training_step([grey, labels], 0)  # only one batch is looked at


@torch.no_grad()
@pytest.mark.parametrize(("stage", "fn", "images"), [("val", "fit", 4), ("val", "validate", 12), ("test", "test", 12)])
def test_the_loss_is_of_the_true_label_and_nats_sum_the_label_out(
    stage: str, fn: str, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During training the label is summed out on as many images as cost one more pass."""
    logged, model = logged_by(monkeypatch), tiny((1, 4, 4))
    model._trainer = SimpleNamespace(state=SimpleNamespace(fn=fn), world_size=1)
    batch, labels = torch.rand(12, 1, 4, 4).round(), torch.arange(12) % 3
    (model.validation_step if stage == "val" else model.test_step)([batch, labels], 0)
    given_label = Bernoulli(logits=logits_of(model, batch, labels)).log_prob(batch.flatten(1)).sum(dim=1)
    torch.testing.assert_close(logged[f"{stage}/loss"], -given_label.mean())
    torch.testing.assert_close(logged[f"{stage}/nats"], -model.log_likelihood(batch[:images]).mean())
    right = model.classify(batch[:images]).argmax(dim=1) == labels[:images]
    torch.testing.assert_close(logged[f"{stage}/accuracy"], right.float().mean())


@torch.no_grad()
def test_a_model_without_labels_has_all_verbs_but_classify(monkeypatch: pytest.MonkeyPatch) -> None:
    logged, model = logged_by(monkeypatch), tiny((1, 4, 4), None)
    batch = torch.rand(12, 1, 4, 4).round()
    model.validation_step([batch], 0)
    torch.testing.assert_close(logged["val/nats"], -model.log_likelihood(batch).mean())
    torch.testing.assert_close(logged["val/nats"], logged["val/loss"])
    assert "val/accuracy" not in logged
    assert model.classes is None
    assert model.sample(4).shape == (4, 1, 4, 4)
    with pytest.raises(ValueError, match="takes no labels"):
        model.sample(4, torch.arange(4))
    with pytest.raises(ValueError, match="classify expected a model of labelled images"):
        model.classify(batch)


def test_the_model_has_these_verbs() -> None:
    model: LightningModule = tiny()
    assert isinstance(model, CanSample)
    assert isinstance(model, HasLogLikelihood)
    assert isinstance(model, CanClassify)
    assert isinstance(model, CanComplete)
    assert not isinstance(model, CanEncode)
    assert not isinstance(model, HasSamplers)
    assert model.exact
    assert not any(name in key for key in model.state_dict() for name in ("before", "up_to", "of_pixel")), "masks follow from the arguments"


def test_one_training_step_moves_every_weight_and_no_mask(tmp_path: Path) -> None:
    model = Pixels(image_shape=(1, 28, 28), **TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = trainer_in(tmp_path)
    trainer.limit_train_batches, trainer.limit_val_batches = 1, 0
    trainer.fit(model, datamodule=ImageDataModule("digits", limit=128, batch_size=64, binarize="dynamic"))
    assert moved(before, model) == set(before)
    perceptron = model.network.perceptron
    assert (perceptron.before.sum(), perceptron.of_pixel.sum()) == (3 * 28 * 27 / 2, 3 * 28 * 29 / 2)
