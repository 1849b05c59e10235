"""Figures of any small images: sizes, colours, names of classes, many classes, no labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from blots import FASHION, MODELS, WORDS, Blots, fit
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.colors import to_rgb
from PIL import Image, ImageFont
from test_callbacks import trainer_in
from torch import Tensor
from torch.nn.functional import avg_pool2d

from callbacks import Centroids, CodebookUsage, Latents, LogDensity, Neighbours, Reconstructions, Samples, SeedEachStep, Stages, Traversal
from callbacks.figures import centroids, neighbours, samples, stages, traversal
from callbacks.figures.classes import heads_of, note, shown_classes
from callbacks.figures.latents import in_colours
from callbacks.figures.picture import CARD, LARGEST, LONG, cut, grid_picture, letters, wrapped
from lit_models.ae import AE
from lit_models.anchored import AnchoredDecoder
from lit_models.study import pictures
from lit_models.training.fixed_images import class_names_of, data_name, names_of_classes


def all_figures() -> list[Any]:
    return [
        Reconstructions(n=16), Samples(n=16), Centroids(), Neighbours(), Traversal(steps=3), Latents(n=100, projector=0), CodebookUsage(),
        Stages(first=1), LogDensity(),
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 14, 14), (1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 128, 128)])
def test_an_image_in_a_grid_is_the_image_enlarged_in_its_own_colours(shape: tuple[int, int, int]) -> None:
    images = torch.rand(6, *shape)
    picture = grid_picture(images, 3, "title", rows=["a", "b"], heads=["x", "y", "z"])
    cell = {14: 56, 28: 56, 32: 64, 64: 64, 128: 128}[shape[1]]
    assert picture.shape == (2 * 18 + 2 + 2 + 2 * (cell + 2), 44 + 2 + 3 * (cell + 2), 3)
    place = (slice(38 + 2 + cell + 2, 38 + 2 + 2 * cell + 2), slice(44 + 2 + cell + 2, 44 + 2 + 2 * cell + 2))  # second row, second column
    scale = cell // shape[1]
    expected = (255 * images[4]).round().byte().expand(3, -1, -1).repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    assert np.array_equal(picture[place], expected.permute(1, 2, 0).numpy())


def test_names_that_fit_stay_and_longer_ones_are_cut() -> None:
    font = ImageFont.load_default(size=12)
    assert cut("trouser", 58, font) == "trouser"
    short = cut("a name without an end", 58, font)
    assert short.endswith("…")
    assert font.getlength(short) <= 58
    narrow, wide = (grid_picture(torch.zeros(2, 1, 28, 28), 2, "", rows=[name]).shape[1] for name in ("7", "pullover to ankle boot"))
    assert narrow == 44 + 2 + 2 * 58
    assert wide > narrow, "the margin grows with the names"
    assert grid_picture(torch.zeros(2, 1, 28, 28), 2, "", rows=["x" * 200]).shape[1] <= LONG + 6 + 2 + 2 * 58


@pytest.mark.parametrize("classes", [1, 3, 10, 26, 47, 1000])
def test_the_first_ten_of_more_classes_are_shown(classes: int) -> None:
    shown = shown_classes(classes)
    assert shown == list(range(classes))[:10]
    assert note(shown, classes) == ("" if classes <= 10 else f", first 10 of {classes} classes")


def test_names_come_from_the_data_module_and_numbers_stand_in(tmp_path: Path) -> None:
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, default_root_dir=tmp_path)
    assert class_names_of(trainer, 3) == ("0", "1", "2")
    assert names_of_classes(("trouser", "bag"), 3) == ("trouser", "bag", "2")
    assert heads_of(["0", "11"]) == []
    assert heads_of(["0", "bag"]) == ["0", "bag"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is asked of `grid_picture`: the title, and the names of rows and columns."""
    asked: list[dict[str, Any]] = []

    def note_it(images: Tensor, columns: int, title: str, rows: Any = (), heads: Any = ()) -> np.ndarray:
        asked.append({"images": images, "columns": columns, "title": title, "rows": list(rows), "heads": list(heads)})
        return grid_picture(images, columns, title, rows, heads)

    for module in (centroids, neighbours, samples, stages, traversal, pictures):
        monkeypatch.setattr(module, "grid_picture", note_it)
    return asked


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("shape", "classes"), [((3, 32, 32), 26), ((1, 64, 64), 3), ((3, 28, 28), None)])
def test_every_figure_is_drawn_whatever_the_images_are(
    name: str, shape: tuple[int, int, int], classes: int | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {} if name != "gan" or classes is None else {"conditioning": "projection"}
    fit(tmp_path, MODELS[name](image_shape=shape, classes=classes, **options), Blots(shape, classes), *all_figures())
    out, err = capsys.readouterr()
    assert "is left out" not in err
    tags = {str(file.parent.relative_to(tmp_path / "figures")) for file in tmp_path.rglob("epoch_0001.png")}
    assert "samples/grid" in tags
    if name == "gan":
        assert "samples/stages" in tags
    else:
        assert {"reconstructions", "neighbours", "traversal/lines"} <= tags
        assert ("centroids/means" in tags) == (classes is not None)
        assert ("Centroids (blots has no labels)" in out) == (classes is None)


def test_captions_and_rows_have_names_and_say_how_many_classes_they_leave_out(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    model = MODELS["ae"](image_shape=(3, 32, 32), classes=26)
    fit(tmp_path, model, Blots((3, 32, 32), 26), Centroids(), Neighbours(), Traversal(steps=3))
    expected = [WORDS[label] for label in shown_classes(26)]
    means, _, around, lines = drawn[:4]
    assert means["heads"] == around["heads"] == expected
    assert lines["rows"][0] == f"{expected[0]} to {expected[1]}"
    for asked in (means, around, lines):
        assert ", first 10 of 26 classes | blots, epoch 1" in asked["title"]
    assert len(means["images"]) == 20  # means and medoids


def test_samples_and_stages_of_many_classes_show_ten(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    model = MODELS["gan"](image_shape=(1, 28, 28), classes=26, conditioning="projection")
    fit(tmp_path, model, Blots((1, 28, 28), 26), Samples(), Stages(first=1))
    grid, ages = drawn
    expected = [WORDS[label] for label in shown_classes(26)]
    assert grid["title"].startswith("samples, row = class, first 10 of 26 classes | blots")
    assert grid["rows"] == ages["heads"] == expected
    assert len(grid["images"]) == 80


@pytest.mark.parametrize("name", ["ae", "gan"])
def test_a_thousand_classes_are_ten_rows_and_ten_columns(
    name: str, tmp_path: Path, drawn: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"conditioning": "projection", "clusters": 1} if name == "gan" else {}
    model = MODELS[name](image_shape=(3, 28, 28), classes=1000, **options)
    fit(tmp_path, model, Blots((3, 28, 28), 1000, n=1064), Samples(), Centroids(), Stages(first=1), Latents(n=500))
    assert "is left out" not in capsys.readouterr().err
    titles = [asked["title"] for asked in drawn]
    if name == "gan":
        assert drawn[0]["rows"] == drawn[1]["heads"] == list(WORDS[:10])
        assert "samples, row = class, first 10 of 1000 classes | blots" in titles[0]
    else:
        means = next(asked for asked in drawn if "medoids" in asked["title"])
        assert means["heads"] == list(WORDS[:10])
        assert "first 10 of 1000 classes" in means["title"]
        assert (tmp_path / "figures/latents/plane/epoch_0001.png").is_file()


def test_a_draw_that_fails_within_an_epoch_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Tensor:
        raise RuntimeError("no such draw")

    monkeypatch.setattr(Stages, "_draw", fail)
    trainer = fit(tmp_path, MODELS["gan"](image_shape=(1, 28, 28), classes=None), Blots((1, 28, 28), None), Stages(first=1))
    assert trainer.global_step == 2
    assert capsys.readouterr().err.count("warning  Stages is left out: no such draw") == 1


def test_anchors_need_no_stored_labels_and_are_named(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    model = AnchoredDecoder(latent_dim=16, channels=16, image_shape=(3, 32, 32), classes=4)
    fit(tmp_path, model, Blots((3, 32, 32), 4), Centroids(), Traversal(steps=3))
    assert drawn[0]["heads"] == list(WORDS[:4])
    assert drawn[2]["rows"] == ["kind A to kind B", "kind B to kind C", "kind C to kind D"]


def test_a_loader_without_labels_ends_no_training_and_leaves_out_what_needs_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Blots((1, 28, 28), None)
    trainer = trainer_in(tmp_path, SeedEachStep(), *all_figures())
    trainer.fit(AE(channels=16, latent_dim=2), data.train_dataloader(), data.val_dataloader())
    assert "Centroids is left out: expected codes of labelled images" in capsys.readouterr().err
    tags = {str(file.parent.relative_to(tmp_path / "figures")) for file in tmp_path.rglob("epoch_0001.png")}
    assert {"neighbours", "traversal/lines", "latents/plane", "samples/gmm", "samples/kde"} <= tags
    assert torch.isfinite(trainer.callback_metrics["val/log_density_kde"]), "a sampler that needs labels leaves the others"


def test_the_projector_has_names_and_thumbnails_in_colour(tmp_path: Path) -> None:
    data = Blots((3, 64, 64), 3)
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=TensorBoardLogger(tmp_path, name="", version=0), callbacks=[Latents(n=50, projector=16)],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(AE(channels=16, image_shape=(3, 64, 64), classes=3), datamodule=data)
    (metadata,) = tmp_path.rglob("metadata.tsv")
    labels = data.reference_images("val", 16)[1]
    assert labels is not None
    assert metadata.read_text().splitlines() == [WORDS[label] for label in labels.tolist()]
    sprite = np.asarray(Image.open(metadata.with_name("sprite.png")))
    assert sprite.shape == (4 * 32, 4 * 32, 3)
    first = avg_pool2d(data.reference_images("val", 1)[0][0], 2).movedim(0, -1).numpy()
    assert np.allclose(sprite[2:30, 2:30] / 255, first[2:30, 2:30], atol=0.01), "colours are not inverted"
    frame = np.array(to_rgb(f"C{int(labels[0])}"))
    assert np.allclose(sprite[0, :32] / 255, frame, atol=0.01), "the frame has the colour of the class"


def test_grey_thumbnails_are_ink_in_the_colour_of_the_class_on_white() -> None:
    images = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(2, -1, -1, -1)
    for image, colour in zip(in_colours(images, ["C0", "C3"]), ("C0", "C3"), strict=True):
        paper, half, ink = image[:, 0].T
        assert torch.equal(paper, torch.ones(3))
        torch.testing.assert_close(ink, torch.tensor(to_rgb(colour)))
        torch.testing.assert_close(half, (paper + ink) / 2)


@pytest.mark.parametrize(("n", "columns", "side"), [(80, 8, 28), (64, 8, 28), (20, 10, 28), (400, 20, 28), (24, 3, 64), (4, 2, 28)])
def test_letters_can_be_read_in_a_card_of_tensorboard(n: int, columns: int, side: int) -> None:
    picture = grid_picture(torch.rand(n, 1, side, side), columns, "samples, sampler autoregressive, row = class | mnist, epoch 12")
    high, wide = picture.shape[:2]
    first = np.flatnonzero((picture[: high // 4] < 128).any(axis=(1, 2)))[0]
    assert first < 30, "the title is at the top"
    size = letters(wide, high)
    assert size == LARGEST or size * min(1, CARD[0] / wide, CARD[1] / high) >= 9


def test_a_title_is_wrapped_and_loses_no_word() -> None:
    font = ImageFont.load_default(size=20)
    title = "samples, sampler autoregressive, row = class | fashion_mnist, epoch 12"
    lines = wrapped(title, 300, font)
    assert " ".join(lines) == title
    assert all(font.getlength(line) <= 300 for line in lines)


def test_a_run_is_called_by_the_name_of_its_images(tmp_path: Path) -> None:
    trainer = fit(tmp_path, AE(channels=16), Blots((1, 28, 28), 10))
    assert data_name(trainer) == "blots"
    assert class_names_of(trainer, 2) == WORDS[:2]


@pytest.mark.parametrize(("shape", "classes"), [((1, 28, 28), 10), ((3, 32, 32), 3), ((1, 28, 28), 47), ((1, 28, 28), 1000)])
def test_grids_of_a_study_have_a_row_per_class(
    shape: tuple[int, int, int], classes: int, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    from lit_models.study.plan import System

    images = (torch.arange(2000) % classes / classes).view(-1, 1, 1, 1).expand(-1, *shape)  # the grey is the class
    system = System(name="system", title="System", config=["vae"], sampler="own")
    pictures.save_grid(tmp_path, system, "own", images, classes, True, FASHION if classes == 10 else ())
    (asked,) = drawn
    each, shown = min(8, 2000 // classes), shown_classes(classes)
    assert asked["columns"] == each
    assert asked["rows"] == (list(FASHION) if classes == 10 else [str(label) for label in shown])
    assert torch.equal(asked["images"][:, 0, 0, 0], (torch.tensor(shown) / classes).repeat_interleave(each))
    assert Image.open(next(tmp_path.rglob("system__samples__own.png"))).size[0] > 0
