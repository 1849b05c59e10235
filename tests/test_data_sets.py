"""Data sets with a name: shape and classes known before a file is read, files of every format read, stacked MNIST decoded."""

import bz2
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import mnist_root, needs_mnist
from test_data import write_idx

import datamodules
from datamodules import ImageDataModule, archives
from datamodules.contracts import DescribesImages
from datamodules.mnist import MNISTDataModule as OldPlace
from datamodules.named import NAMED
from datamodules.sides import fit_to
from lit_models.image_shape import grid_of

N = 40
PUBLIC = {  # of the papers
    "mnist": ((1, 28, 28), 10), "fashion_mnist": ((1, 28, 28), 10), "kmnist": ((1, 28, 28), 10), "emnist_digits": ((1, 28, 28), 10),
    "emnist_letters": ((1, 28, 28), 26), "emnist_balanced": ((1, 28, 28), 47), "usps": ((1, 16, 16), 10), "cifar10": ((3, 32, 32), 10),
    "svhn": ((3, 32, 32), 10), "digits": ((1, 28, 28), 10), "stacked_mnist": ((3, 28, 28), 1000),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_shape_and_classes_are_known_before_any_file_is_read(name: str, tmp_path: Path) -> None:
    data = ImageDataModule(name, root=str(tmp_path / "nowhere"))
    assert isinstance(data, DescribesImages)
    assert (data.image_shape, data.classes) == PUBLIC[name]
    assert len(set(data.class_names)) == data.classes
    assert grid_of(data.image_shape)
    assert data.describe().startswith(f"{name}: ")
    assert data.dataset_name == name
    assert ImageDataModule(name, size=64).image_shape == (data.image_shape[0], 64, 64)


def test_class_names_stand_at_their_labels() -> None:
    named = {name: NAMED[name].class_names for name in NAMED}
    assert named["fashion_mnist"][1] == "trouser"
    assert named["emnist_balanced"][36:] == ("a", "b", "d", "e", "f", "g", "h", "n", "q", "r", "t")
    assert named["kmnist"] == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert named["emnist_letters"][25] == "z"
    assert named["cifar10"][6] == "frog"


def test_the_old_name_and_the_old_place_lead_to_the_class() -> None:
    assert ImageDataModule is OldPlace is datamodules.MNISTDataModule


@pytest.mark.parametrize(("name", "first", "classes"), [("emnist_letters", 1, 26), ("emnist_balanced", 0, 47)])
def test_emnists_labels_count_from_0_and_its_images_stand_upright(name: str, first: int, classes: int, tmp_path: Path) -> None:
    prefix = f"{name.replace('_', '-')}-"
    write_idx(tmp_path, 60, prefix, "test")
    written = [first + number % classes for number in range(60)]
    for split in ("train", "test"):
        (tmp_path / f"{prefix}{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 60) + bytes(written))
    data = ImageDataModule(name, root=str(tmp_path))
    images, labels = data.images("test")
    assert labels.tolist() == [number % classes for number in range(60)]
    raw = (tmp_path / f"{prefix}test-images-idx3-ubyte").read_bytes()[16:]
    lying = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(60, 28, 28)
    assert torch.equal((images[:, 0] * 255).round().to(torch.uint8), lying.transpose(1, 2))
    (tmp_path / f"{prefix}test-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 60) + bytes([first + classes] * 60))
    with pytest.raises(ValueError, match=f"expected the labels {first} to {first + classes - 1} of {classes} classes"):
        ImageDataModule(name, root=str(tmp_path)).setup()


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def write_usps(folder: Path, images: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        " ".join([str(label + 1), *(f"{place + 1}:{value / 127.5 - 1:.6f}" for place, value in enumerate(image.flat))])
        for image, label in zip(images, labels, strict=True)
    ]
    for name in ("usps.bz2", "usps.t.bz2"):
        (folder / name).write_bytes(bz2.compress("\n".join(lines).encode()))


def write_cifar10(folder: Path, images: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder / "cifar-10-batches-py"
    place.mkdir()
    (place / "train").write_bytes(pickle.dumps({"data": images.reshape(len(images), -1), "labels": labels.tolist()}))
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": list(NAMED["cifar10"].class_names)}))
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(archives.ARCHIVES["cifar10"], name, [["train", md5(place / "train")]])
    monkeypatch.setitem(archives.ARCHIVES["cifar10"].meta, "md5", md5(place / "batches.meta"))


def write_svhn(folder: Path, images: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    listed = {}
    for split, name in (("train", "train_32x32.mat"), ("test", "test_32x32.mat")):
        savemat(folder / name, {"X": images.transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)[:, None]})
        listed[split] = ["", name, md5(folder / name)]
    monkeypatch.setattr(archives.ARCHIVES["svhn"], "split_list", listed)


@pytest.mark.parametrize(("name", "write"), [("usps", write_usps), ("cifar10", write_cifar10), ("svhn", write_svhn)])
@pytest.mark.parametrize("own_folder", [True, False])
def test_torchvisions_formats_are_read(name: str, write, own_folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (N, *NAMED[name].shape), dtype=np.uint8)
    folder = tmp_path / archives.ARCHIVES[name].__name__ if own_folder else tmp_path
    folder.mkdir(exist_ok=True)
    write(folder, images, np.arange(N) % 10, monkeypatch)
    data = ImageDataModule(name, root=str(tmp_path))
    found, labels = data.images("test")
    difference = found * 255 - torch.from_numpy(images)
    assert difference.abs().max() <= (1 if name == "usps" else 1e-4), "torchvision cuts USPS's numbers off"
    assert labels.tolist() == [number % 10 for number in range(N)]
    assert data.images("train")[0].shape == (N - N // 10, *NAMED[name].shape)
    assert abs(data.pixel_variance - images.astype(np.float64).var() / 255**2) < 1e-3
    damaged = next(file for file in sorted(folder.rglob("*")) if file.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-200])
    with pytest.raises(ValueError, match=f"expected the published files of {name}") as refused:
        ImageDataModule(name, root=str(tmp_path)).setup()
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize("name", ["usps", "cifar10", "svhn", "emnist_balanced", "stacked_mnist"])
def test_a_data_set_that_is_not_there_is_named_with_its_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(urls: list[str]) -> None:
        assert urls
        raise OSError("no route")

    monkeypatch.setattr("datamodules.sources._probe", out_of_reach)
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded \(no route\)\nexpected .*\nset --data.root"):
        ImageDataModule(name, root=str(tmp_path)).prepare_data()


@needs_mnist
def test_a_stacked_label_decodes_to_the_digits_of_the_channels() -> None:
    """Each channel is looked up among MNIST's own images, all of which differ."""
    mnist, data = (ImageDataModule(name, root=str(mnist_root())) for name in ("mnist", "stacked_mnist"))
    images, labels = data.images("test")
    digits, kinds = mnist.images("test")
    known = {image.numpy().tobytes(): int(kind) for image, kind in zip(digits[:, 0], kinds, strict=True)}
    assert len(known) == 10_000
    for channel, weight in enumerate((100, 10, 1)):
        assert [known[image.numpy().tobytes()] for image in images[:, channel]] == (labels // weight % 10).tolist()
        assert len({image.numpy().tobytes() for image in images[:, channel]}) == 10_000, "a permutation: each image once"
    assert {name: split.n for name, split in data.splits.items()} == {"val": 5000, "train": 55000, "test": 10000}
    assert len(data.splits["train"].labels.unique()) == 1000
    assert data.class_names[data.splits["test"].labels[0]] == f"{int(labels[0]):03}"
    again = ImageDataModule("stacked_mnist", root=str(mnist_root()), seed=5)
    assert torch.equal(again.images("test")[0], images), "the stacks do not depend on the seed of the run"


@needs_mnist
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_pixel_variances_of_the_table_are_those_of_the_files(name: str) -> None:
    from datamodules.sources import load
    from datamodules.split import pixel_variance_of

    given = load(name, mnist_root())
    assert pixel_variance_of(given["train"]) == NAMED[name].pixel_variance == ImageDataModule(name).pixel_variance
    exact = float((given["train"].images[:2000].double() / 255).var(correction=0))
    assert abs(pixel_variance_of(given["train"].select(torch.arange(2000))) - exact) <= 5e-5


def test_named_images_are_resized_and_inverted_on_demand() -> None:
    plain, inverted, large = (ImageDataModule("digits", **options) for options in ({}, {"invert": True}, {"size": 32}))
    torch.testing.assert_close(inverted.images("val")[0], 1 - plain.images("val")[0])
    with pytest.warns(UserWarning, match="digits are resized to 32 x 32"):
        assert large.images("val")[0].shape[1:] == (1, 32, 32)
    assert large.pixel_variance != plain.pixel_variance == inverted.pixel_variance


@pytest.mark.parametrize(
    ("found", "size", "inner", "side"),
    [
        ((28, 28), None, (28, 28), 28), ((16, 16), None, (16, 16), 16), ((30, 30), None, (30, 30), 32), ((25, 20), None, (25, 20), 28),
        ((8, 8), None, (28, 28), 28), ((40, 30), None, (32, 24), 32), ((50, 50), None, (64, 64), 64), ((200, 100), None, (64, 32), 64),
        ((128, 128), None, (64, 64), 64), ((128, 128), 128, (128, 128), 128), ((28, 28), 32, (32, 32), 32),
    ],
)  # fmt: skip
def test_sides_are_brought_to_those_that_networks_take(found: tuple[int, int], size: int | None, inner: tuple[int, int], side: int) -> None:
    fit = fit_to(found, size)
    assert (fit.inner, fit.side) == (inner, side)
    images = torch.full((2, 3, *found), 200, dtype=torch.uint8)
    assert torch.equal(fit(images), torch.full((2, 3, side, side), 200, dtype=torch.uint8)), "the border has the image's own colour"
