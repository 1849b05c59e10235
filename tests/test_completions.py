"""Completions of images that are known in part, and their figure."""

from pathlib import Path

import pytest
import torch
from blots import Blots
from test_callbacks import trainer_in
from test_pixels import TINY, every_image, tiny
from torch import Tensor

from callbacks import Completions, SeedEachStep
from callbacks.figures import completions
from callbacks.figures.picture import grid_picture
from lit_models.ae import AE
from lit_models.pixels import Pixels


@torch.no_grad()
@pytest.mark.parametrize("image_shape", [(1, 5, 4), (3, 4, 3)])
def test_a_completion_keeps_the_known_pixels_and_looks_at_no_other(image_shape: tuple[int, int, int]) -> None:
    model, images, known = tiny(image_shape), torch.rand(20, *image_shape).round(), torch.rand(image_shape[1:]) < 0.5
    completed = model.complete(images, known, torch.Generator().manual_seed(0))
    assert torch.equal(completed[:, :, known], images[:, :, known])
    assert not torch.equal(completed[:, :, ~known], images[:, :, ~known])
    hidden = torch.where(known, images, 0.3)
    assert torch.equal(model.complete(hidden, known, torch.Generator().manual_seed(0)), completed)
    assert torch.equal(model.complete(images, torch.ones_like(known)), images)


@torch.no_grad()
@pytest.mark.parametrize("classes", [3, None])
def test_completions_have_the_frequencies_of_the_distribution_given_the_known_pixels(classes: int | None) -> None:
    model, images = tiny((1, 2, 2), classes), every_image((1, 2, 2))
    image = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).expand(20_000, 1, 2, 2)
    drawn = model.complete(image, torch.tensor([[True, True], [False, False]]), torch.Generator().manual_seed(0))
    found = torch.bincount((drawn[:, 0, 1] @ torch.tensor([2.0, 1.0])).long(), minlength=4) / 20_000
    same_row = (images[:, 0, 0] == image[0, 0, 0]).all(dim=1)
    expected = model.log_likelihood(images)[same_row].softmax(dim=0)
    assert (found - expected).abs().max() < 0.015
    if classes:
        uniform_labels = model._given_each_class(images)[same_row].softmax(dim=0).mean(dim=1)
        assert (expected - uniform_labels).abs().max() > 0.02, "the control: the known pixels say something about the class"


def test_completion_refuses_a_mask_of_another_shape_and_grey_known_pixels() -> None:
    model, images = tiny((1, 4, 4)), torch.full((2, 1, 4, 4), 0.5)
    with pytest.raises(ValueError, match=r"expected a mask of booleans of shape \(4, 4\), got torch.bool of shape \(2, 4\)"):
        model.complete(images, torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"got torch.float32"):
        model.complete(images, torch.ones(4, 4))
    with pytest.raises(ValueError, match="images of 0 and 1, got grey ones"):
        model.complete(images, torch.ones(4, 4, dtype=torch.bool))


class BinaryBlots(Blots):
    def images(self, split: str) -> tuple[Tensor, Tensor | None]:
        images, labels = super().images(split)
        return images.round(), labels


@pytest.mark.parametrize(("image_shape", "classes", "rows"), [((1, 14, 14), 3, 3), ((3, 14, 14), None, 10), ((1, 14, 14), 12, 10)])
def test_the_figure_shows_image_upper_half_and_completions(
    image_shape: tuple[int, int, int], classes: int | None, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple] = []
    monkeypatch.setattr(completions, "grid_picture", lambda *arguments: asked.append(arguments) or grid_picture(*arguments))
    model = Pixels(image_shape=image_shape, classes=classes, **TINY)
    trainer = trainer_in(tmp_path, SeedEachStep(), Completions(n=2), epochs=2)
    trainer.fit(model, datamodule=BinaryBlots(image_shape, classes))
    assert [file.name for file in sorted((tmp_path / "figures" / "completions").glob("*.png"))] == ["epoch_0001.png", "epoch_0002.png"]
    (first, columns, title, names, heads), (second, *_) = asked
    assert (columns, len(names), heads) == (4, rows, ["image", "given", "model", "model"])
    assert ("first 10 of 12 classes" in title) == (classes == 12)
    image, given, *drawn = first.unflatten(0, (rows, 4)).unbind(dim=1)
    assert (given[:, :, 7:] == 0.5).all()
    assert all(torch.equal(column[:, :, :7], image[:, :, :7]) for column in (given, *drawn))
    assert not torch.equal(*drawn)
    assert torch.equal(second[::4], image), "the same inputs every time"
    assert not torch.equal(first, second), "the model has learned"


def test_the_figure_needs_a_model_that_completes() -> None:
    trainer = trainer_in(Path())
    assert Completions().what_is_missing(trainer, AE(channels=16)) == "AE lacks complete"
    assert Completions().what_is_missing(trainer, tiny()) == ""
    with pytest.raises(ValueError, match="at least one completion, got 0"):
        Completions(n=0)
