"""Figures of what happens on the way from noise to images: stages, steps, guidance."""

from pathlib import Path
from typing import Any

import pytest
import torch
from blots import Blots
from builders import build
from test_callbacks import trainer_in

from callbacks import FromNoise, Guidance, SeedEachStep, Steps
from callbacks.figures import from_noise, sampling_options
from callbacks.figures.picture import grid_picture
from lit_models.ae import AE
from lit_models.flow import Flow

SHAPES = [((1, 14, 14), 3), ((3, 14, 14), None), ((1, 14, 14), 12)]


def shown_by(figure: Any, module: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, model: Any, *data: Any) -> list[tuple]:
    """What a figure asks to be drawn in two epochs; its files are there."""
    asked: list[tuple] = []
    monkeypatch.setattr(module, "grid_picture", lambda *arguments: asked.append(arguments) or grid_picture(*arguments))
    trainer_in(folder, SeedEachStep(), figure, epochs=2).fit(model, datamodule=Blots(*data))
    assert [file.name for file in sorted(folder.rglob("*.png"))] == ["epoch_0001.png", "epoch_0002.png"]
    return asked


@pytest.mark.parametrize(("image_shape", "classes"), SHAPES)
@pytest.mark.parametrize(("steps", "stages"), [(4, 5), (20, 11)])
def test_noise_becomes_an_image(
    image_shape: tuple[int, int, int], classes: int | None, steps: int, stages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Flow(channels=8, steps=steps, image_shape=image_shape, classes=classes)
    (first, columns, title, names, heads), (second, *_) = shown_by(
        FromNoise(), from_noise, tmp_path, monkeypatch, model, image_shape, classes
    )
    rows = min(classes or 10, 10)
    assert (columns, len(names), len(heads)) == (stages, rows, stages)
    assert (heads[0], heads[-1]) == ("noise", f"step {steps}")
    assert ("first 10 of 12 classes" in title) == (classes == 12)
    stages_first, stages_second = (images.unflatten(0, (rows, stages)) for images in (first, second))
    assert torch.equal(stages_first[:, 0], stages_second[:, 0]), "the same noise every time"
    labels = torch.arange(rows) if classes else None
    assert torch.equal(stages_second[:, -1], model.eval().sample(rows, labels, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, second), "the model has learned"


@pytest.mark.parametrize(("image_shape", "classes"), SHAPES)
def test_a_row_has_the_same_noise_as_the_others_and_its_own_number_of_steps(
    image_shape: tuple[int, int, int], classes: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Flow(channels=8, image_shape=image_shape, classes=classes)
    _, (images, columns, _, names, _) = shown_by(Steps((1, 2, 4)), sampling_options, tmp_path, monkeypatch, model, image_shape, classes)
    assert (columns, names) == (min(classes or 10, 10), ["1", "2", "4"])
    labels = torch.arange(columns) if classes else None
    for row, steps in zip(images.split(columns), (1, 2, 4), strict=True):
        assert torch.equal(row, model.eval().sample(columns, labels, torch.Generator().manual_seed(0), steps=steps))


def test_a_row_has_its_own_guidance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Flow(channels=8, steps=2, image_shape=(1, 14, 14), classes=3)
    figure = Guidance((0.0, 3.0))
    _, (images, columns, _, names, heads) = shown_by(figure, sampling_options, tmp_path, monkeypatch, model, (1, 14, 14), 3)
    assert (columns, names, len(heads)) == (3, ["0", "3"], 3)
    for row, guidance in zip(images.split(3), (0.0, 3.0), strict=True):
        assert torch.equal(row, model.eval().sample(3, torch.arange(3), torch.Generator().manual_seed(0), guidance=guidance))


def test_they_are_left_out_for_models_that_lack_the_verb_alone() -> None:
    trainer = trainer_in(Path())
    plain, prior, unlabelled = AE(channels=16), AE(channels=16, sampler="flow"), AE(channels=16, sampler="flow", classes=None)
    assert FromNoise().what_is_missing(trainer, plain) == "AE lacks trajectory"
    assert Steps().what_is_missing(trainer, plain) == "AE lacks steps"
    assert Guidance().what_is_missing(trainer, plain) == "AE lacks guidance"
    assert Steps().what_is_missing(trainer, prior) == Guidance().what_is_missing(trainer, prior) == ""
    assert Steps().what_is_missing(trainer, unlabelled) == ""
    assert Guidance().what_is_missing(trainer, unlabelled) == "AE lacks guidance"
    assert Steps().what_is_missing(trainer, AE(channels=16, sampler="coupling")) == "AE lacks steps"
    assert FromNoise().what_is_missing(trainer, build("flow")) == ""
