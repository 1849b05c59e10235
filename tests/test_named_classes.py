"""Runs that the commands open know the names of classes, and `lightning sample` takes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from blots import FASHION, MODELS, WORDS, Blots, fit
from PIL import Image
from test_callbacks import trainer_in

import datamodules
from lit_models.ae import AE
from lit_models.command.asked_classes import asked_classes, label_of
from lit_models.command.errors import UserError
from lit_models.command.opened_run import OpenedRun


def saved_run(folder: Path, model: Any, data: Blots, run: dict[str, Any] | None, state: dict[str, Any]) -> Path:
    """A checkpoint of a model on some data, as `lightning fit` would have written it for a data module with this state."""
    trainer, file = fit(folder, model, data), folder / "model.ckpt"
    trainer.save_checkpoint(file)
    saved = torch.load(file, weights_only=True)
    saved |= state | ({} if run is None else {"run": {"model": f"{type(model).__module__}.{type(model).__name__}"} | run})
    torch.save(saved, file)
    return file


@pytest.fixture
def fashion_run(tmp_path: Path) -> Path:
    model = MODELS["gan"](image_shape=(3, 32, 32), classes=10, conditioning="projection")
    run = {"data": "datamodules.ImageDataModule", "dataset": "wardrobe", "seed": 0}
    state = {"dataset": "/elsewhere/wardrobe", "class_names": list(FASHION), "classes": 10, "image_shape": [3, 32, 32]}
    arguments = {"dataset": "/elsewhere/wardrobe"}
    return saved_run(tmp_path, model, Blots((3, 32, 32), 10), run, {"ImageDataModule": state, "datamodule_hyper_parameters": arguments})


def test_an_opened_run_knows_names_shape_and_where_its_own_images_lay(fashion_run: Path) -> None:
    opened = OpenedRun(fashion_run, [])
    assert opened.class_names == FASHION
    assert opened.image_shape == (3, 32, 32)
    assert opened.dataset == "/elsewhere/wardrobe"
    assert opened.dataset_name == "wardrobe"


@pytest.mark.parametrize(
    ("dataset", "root", "expected"),
    [
        ("/elsewhere/wardrobe", None, ("/elsewhere/wardrobe", None)),
        ("/elsewhere/wardrobe", "here/wardrobe", ("here/wardrobe", None)),
        ("mnist", "data", ("mnist", "data")),
    ],
)
def test_own_images_that_have_moved_are_named_by_root(
    dataset: str, root: str | None, expected: tuple[str, str | None], fashion_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Recorded(Blots):
        def __init__(self, dataset: str, root: str | None = None) -> None:
            super().__init__((3, 32, 32), 10)
            self.given = (dataset, root)

    monkeypatch.setattr(datamodules, "ImageDataModule", Recorded)
    opened = OpenedRun(fashion_run, [])
    opened.saved["datamodule_hyper_parameters"]["dataset"] = dataset
    assert opened.data(root).given == expected


def test_an_older_run_has_numbers_for_names(tmp_path: Path) -> None:
    state = {"ImageDataModule": {"dataset": "mnist", "images_sha256": "0"}, "datamodule_hyper_parameters": {"dataset": "mnist"}}
    run = {"data": "datamodules.ImageDataModule", "dataset": "mnist", "seed": 0}
    opened = OpenedRun(saved_run(tmp_path, AE(channels=16), Blots((1, 28, 28), 10), run, state), [])
    assert opened.class_names == tuple("0123456789")
    assert opened.image_shape == (1, 28, 28)
    assert opened.dataset == opened.dataset_name == "mnist"


def test_a_run_without_labels_has_no_names(tmp_path: Path) -> None:
    state = {"ImageDataModule": {"dataset": "scans.npy", "class_names": [], "classes": None, "image_shape": [1, 64, 64]}}
    run = {"data": "datamodules.ImageDataModule", "dataset": "scans", "seed": 0}
    model = AE(channels=16, image_shape=(1, 64, 64), classes=None)
    opened = OpenedRun(saved_run(tmp_path, model, Blots((1, 64, 64), None), run, state), [])
    assert opened.class_names == ()
    assert opened.image_shape == (1, 64, 64)


def test_samples_of_a_named_class_in_colour(fashion_run: Path, lightning: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert lightning("sample", fashion_run, "--label", "Trouser", "--num", 5, "--output", "s.npz") == 0
    assert "s.npz: 5 samples of GAN, class trouser, trained on wardrobe" in capsys.readouterr().out
    with np.load("s.npz") as arrays:
        assert arrays["images"].shape == (5, 32, 32, 3)
        assert arrays["images"].dtype == np.uint8
        assert (arrays["labels"] == 1).all()
        assert tuple(arrays["class_names"]) == FASHION
        images = arrays["images"]
    assert lightning("sample", fashion_run, "--label", 1, "--num", 5, "--output", "s.png") == 0
    grid = np.asarray(Image.open("s.png"))
    expected = images[0].repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(grid[20 + 2 : 20 + 2 + 64, 2 : 2 + 64], expected), "the grid shows the same colours"
    assert lightning("sample", fashion_run, "--label", "trowser") == 2
    assert "did you mean trouser?" in capsys.readouterr().err


@pytest.fixture
def own_images(tmp_path: Path) -> tuple[Path, Path]:
    """Own images in colour with words for labels, and the checkpoint of a plain Trainer that has seen them."""
    words, file = np.array(["coat", "bag", "trouser"]), tmp_path / "given" / "wardrobe.npz"
    file.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (90, 32, 32, 3), dtype=np.uint8)
    np.savez(file, images=pixels, labels=words[np.arange(90) % 3])
    model, data = MODELS["ae"](image_shape=(3, 32, 32), classes=3), datamodules.ImageDataModule(str(file), batch_size=32)
    trainer = trainer_in(tmp_path / "run")
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    return file, tmp_path / "model.ckpt"


@pytest.mark.parametrize("place", ["wardrobe.npz", "moved/wardrobe.npz", "moved", "moved/renamed.npz"])
def test_codes_of_own_images_have_names_wherever_the_images_lie_now(
    place: str, own_images: tuple[Path, Path], lightning: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    file, checkpoint = own_images
    target = file.parent / place
    if place != "wardrobe.npz":
        target = target / "wardrobe.npz" if place == "moved" else target
        target.parent.mkdir()
        file.rename(target)
    words = [] if place == "wardrobe.npz" else ["--root", file.parent / place]
    assert lightning("predict", checkpoint, *words, "--output", "c.npz") == 0, capsys.readouterr().err
    assert "and labels of the test images of wardrobe" in capsys.readouterr().out
    with np.load("c.npz") as arrays:
        assert list(arrays["class_names"]) == ["bag", "coat", "trouser"]
        assert len(arrays["codes"]) == len(arrays["labels"]) == 18


def test_other_images_at_the_place_are_refused(
    own_images: tuple[Path, Path], lightning: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    file, checkpoint = own_images
    other = file.with_name("other.npz")
    np.savez(other, images=np.random.default_rng(1).integers(0, 256, (90, 32, 32, 3), dtype=np.uint8), labels=np.arange(90) % 3)
    assert lightning("predict", checkpoint, "--root", other) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) <= 3
    assert "sha256" in said[0]


def test_codes_of_images_without_labels_have_none(tmp_path: Path, lightning: Callable[..., int]) -> None:
    file = tmp_path / "scans.npy"
    np.save(file, np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8))
    trainer = trainer_in(tmp_path / "run")
    trainer.fit(MODELS["ae"](classes=None), datamodule=datamodules.ImageDataModule(str(file), batch_size=32))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    assert lightning("predict", tmp_path / "model.ckpt", "--output", "c.npz") == 0
    with np.load("c.npz") as arrays:
        assert arrays.files == ["codes"]
    assert lightning("sample", tmp_path / "model.ckpt", "--output", "s.npz") == 0
    with np.load("s.npz") as arrays:
        assert arrays.files == ["images"]
        assert arrays["images"].shape == (64, 28, 28)


# -- lightning sample


@pytest.mark.parametrize(
    ("word", "label"), [("trouser", 1), ("TROUSER", 1), ("ankle boot", 9), ("3", 3), ("t-shirt/top", 0)],
)  # fmt: skip
def test_a_class_is_asked_for_by_name_or_number(word: str, label: int) -> None:
    assert label_of(word, FASHION, "fashion_mnist") == label


def test_a_name_comes_before_a_number_and_the_exact_name_before_another_case() -> None:
    assert label_of("3", ("3", "5", "7"), "mydata") == 0
    assert label_of("a", ("A", "a"), "letters") == 1
    with pytest.raises(UserError, match="--label expected a class of letters: A, a"):
        label_of("b", ("A", "a"), "letters")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trowser", "did you mean trouser?"),
        ("11", "--label expected a class from 0 to 9\nlightning: got 11"),
        ("-1", "--label expected a class from 0 to 9\nlightning: got -1"),
        ("xyz", "a number from 0 to 9 means a class too"),
    ],
)
def test_a_class_that_is_none_is_refused_in_three_lines(word: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        label_of(word, FASHION, "fashion_mnist")
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_labels_of_mnist_go_in_turn_as_ever() -> None:
    asked = asked_classes(None, 64, [str(label) for label in range(10)], "mnist", as_grid=True)
    assert torch.equal(asked.labels, torch.arange(64) % 10)
    assert (asked.columns, asked.rows, asked.heads, asked.what) == (8, [], [], "")


@pytest.mark.parametrize(("names", "columns"), [(WORDS[:3], 6), (("0", "1", "2", "3"), 8), (FASHION, 10)])
def test_columns_are_classes_where_they_fit(names: tuple[str, ...], columns: int) -> None:
    asked = asked_classes(None, 64, names, "mydata", as_grid=True)
    assert asked.columns == len(asked.heads) == columns
    for place, label in enumerate(asked.labels.tolist()):
        assert names[label] == asked.heads[place % columns]


@pytest.mark.parametrize(
    ("names", "n"), [(WORDS[:3], 48), (("0", "1", "2", "3"), 64), (FASHION, 80), (tuple("0123456789"), 64), (WORDS, 64)]
)
def test_a_grid_has_eight_whole_rows_by_default(names: tuple[str, ...], n: int) -> None:
    asked = asked_classes(None, None, names, "mydata", as_grid=True)
    assert len(asked.labels) == n == 8 * asked.columns
    assert len(asked_classes(None, None, names, "mydata", as_grid=False).labels) == 64
    assert len(asked_classes(names[1], None, names, "mydata", as_grid=True).labels) == 64


@pytest.mark.parametrize(("n", "classes"), [(64, 47), (64, 1000), (400, 47), (20, 1000)])
def test_rows_are_classes_where_there_are_many_and_an_array_has_them_in_turn(n: int, classes: int) -> None:
    names = [f"{number:03}" for number in range(classes)]
    asked = asked_classes(None, n, names, "mydata", as_grid=True)
    assert len(asked.labels) == n
    for place, label in enumerate(asked.labels.tolist()):
        assert names[label] == asked.rows[place // 8]
    rows = -(-n // 8)
    assert asked.what == (f", row = class, {rows} of {classes} classes" if rows < classes else ", row = class")
    array = asked_classes(None, n, names, "mydata", as_grid=False).labels
    assert len(array.unique()) == min(n, classes)
    assert int(array.max()) >= classes * (1 - 2 / n) - 1, "classes from the whole range"
