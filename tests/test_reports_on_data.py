"""User reports on data elsewhere, other images, few images: each test is a report or its whole kind, with the real command."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch
from conftest import mnist_root, needs_mnist
from lightning.pytorch.callbacks import LearningRateFinder  # noqa: F401  (a config names it)
from reports import SMALL, F, three_lines
from test_data import write_idx

from datamodules import ImageDataModule
from lit_models import VAE

# -- 1, 2, 3, 38: data that is not where it was looked for


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(mirrors: list[str]) -> None:
        raise OSError("no route")

    monkeypatch.setattr("datamodules.sources._probe", out_of_reach)
    monkeypatch.delenv("MNIST_ROOT", raising=False)


@pytest.mark.parametrize("words", [["--data.dataset=fashion_mnist"], ["--data.dataset=mnist"], ["--data.root=png"]])
def test_1_38_what_the_user_names_is_not_replaced(words: list[str], offline: None, lightning, tmp_path: Path, capsys) -> None:
    for label in range(3):
        (tmp_path / "png" / str(label)).mkdir(parents=True)
        (tmp_path / "png" / str(label) / "a.png").write_bytes(b"")
    assert lightning("fit", "--config", "vae", "--config", "fast", "--trainer.max_epochs=1", *words) == 2
    said = three_lines(capsys)
    assert "could not be downloaded" in said
    assert "train-images-idx3-ubyte" in said
    assert "png" not in words[0] or "found folders 0, 1, 2 and 3 .png files" in said
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("place", ["flat", "flat/raw", "flat/MNIST", "flat/MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_2_3_files_are_found_packed_or_not(place: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / place)
    if packed:
        for file in (tmp_path / place).iterdir():
            subprocess.run(["gzip", file], check=True)
    data = ImageDataModule("mnist", root=str(tmp_path / "flat"), verify=False)
    data.setup()
    assert len(data.splits["test"].images) == 40
    monkeypatch.setenv("MNIST_ROOT", str(tmp_path / place))
    again = ImageDataModule("mnist", verify=False)
    again.setup()
    assert again.images_sha256 == data.images_sha256


def test_3_a_packed_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte"
    subprocess.run(["gzip", file], check=True)
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(packed.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: expected a file packed by gzip"):
        ImageDataModule("mnist", root=str(tmp_path), verify=False).setup()


# -- 6, 31, 39: other images than were meant


def test_6_a_run_is_not_measured_on_other_images(lightning, tmp_path: Path, capsys) -> None:
    for name in ("first", "second"):
        write_idx(tmp_path / name / "MNIST" / "raw", n=300)
    other = tmp_path / "second" / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    raw = bytearray(other.read_bytes())
    raw[16:] = bytes(255 - value for value in raw[16:])
    other.write_bytes(raw)
    words = ["--config", "vae", "--config", "fast", "--trainer.max_epochs=1", "--data.verify=false", *SMALL]
    assert lightning("fit", *words, "--data.root=first") == 0
    run = tmp_path / "logs" / "vae+fast" / "mnist"
    assert lightning("test", run, "--root", "first", "--samples", 0) == 0
    assert "validation images of mnist" in capsys.readouterr().out
    assert lightning("test", run, "--root", "second", "--samples", 0) == 2
    said = three_lines(capsys)
    assert "expected the images of mnist that the checkpoint's run has seen" in said
    assert "got others in second/" in said
    assert lightning("fit", *words, "--data.root=second", "--trainer.max_epochs=2", "--ckpt_path=last") == 2
    assert "got others in second/" in three_lines(capsys)


def letters(folder: Path) -> None:
    write_idx(folder)
    for split in ("train", "t10k"):
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 40) + bytes(1 + i % 26 for i in range(40)))


@pytest.mark.parametrize("model", ["ae", "vqvae", "gan_conditional"])
def test_31_39_other_numbers_of_classes_are_refused_before_the_first_step(model: str, lightning, tmp_path: Path, capsys) -> None:
    letters(tmp_path / "set_letters")
    assert lightning("fit", "--config", model, "--config", "fast", "--data.verify=false", "--data.root=set_letters") == 2
    said = three_lines(capsys)
    assert "expected the labels 0 to 9 of 10 classes, found labels 1 to 26" in said
    assert "a whole file of another data set" in said
    assert "damaged" not in said
    assert not (tmp_path / "logs").exists()


# -- 8, 9, 11, 13: few images, few numbers


def test_8_a_last_batch_of_one_image_trains(lightning) -> None:
    words = ["--data.limit=51", "--data.batch_size=50", "--model.channels=16"]
    assert lightning("fit", "--config", "classifier", *F, *words) == 0


@pytest.mark.parametrize("model", ["vae", "ae", "pca_ae", "anchored", "vqvae", "gan"])
@pytest.mark.parametrize("limit", [1, pytest.param(3, marks=pytest.mark.by_hand), pytest.param(20, marks=pytest.mark.by_hand)])
def test_9_11_figures_and_measures_of_few_images_end_no_training(model: str, limit: int, lightning, tmp_path: Path, capsys) -> None:
    small = {"gan": ["--model.clusters=1"], "pca_ae": ["--model.latent_dim=1"]}.get(model, [])
    if model == "pca_ae" and limit == 1:
        assert lightning("fit", "--config", model, *F, "--data.limit=1", *small) == 2
        assert "1 principal components expected at least 2 images, got 1" in three_lines(capsys)
        return
    assert lightning("fit", "--config", model, *F, f"--data.limit={limit}", *small) == 0
    run = tmp_path / "logs" / f"{model}+fast" / "digits" / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert lightning("test", run, "--samples", 100) == 0


def test_9_a_class_that_does_not_occur_is_a_black_cell(tmp_path: Path) -> None:
    from callbacks.figures.figure import decode_known
    from lit_models.sampling.class_places import class_means

    model = VAE(channels=16).eval()
    means = class_means(torch.randn(18, 16), torch.arange(18) % 9, 10)
    with torch.no_grad():
        images = decode_known(model, means)
    assert images[9].abs().max() == 0
    assert images[:9].flatten(1).amax(dim=1).min() > 0


def test_13_a_code_of_one_number_is_drawn_against_its_rank(lightning, tmp_path: Path, capsys) -> None:
    assert lightning("fit", "--config", "vae", *F, *SMALL, "--model.latent_dim=1") == 0
    run = tmp_path / "logs" / "vae+fast" / "digits" / "version_0"
    assert (run / "figures" / "latents" / "line" / "epoch_0001.png").is_file()
    assert "is left out" not in capsys.readouterr().err


@needs_mnist
def test_2_flat_files_of_mnist_itself_are_found(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for file in (Path(str(mnist_root())) / "MNIST" / "raw").glob("t*ubyte"):
        os.symlink(file, tmp_path / "flat" / file.name)
    data = ImageDataModule("mnist", root=str(tmp_path / "flat"))
    data.setup()
    assert len(data.images("test")[0]) == 10_000
    shutil.rmtree(tmp_path / "flat")
