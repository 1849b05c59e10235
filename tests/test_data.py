"""Data: every image once, in a state that can be resumed, from files that are checked."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import struct
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch
from conftest import mnist_root, needs_mnist

from datamodules import ImageDataModule, sources


def write_idx(folder: Path, n: int = 40, prefix: str = "", test: str = "t10k") -> None:
    """Four small IDX files."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", test):
        images = torch.randint(256, (n, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        (folder / f"{prefix}{split}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, n, 28, 28) + images.numpy().tobytes())
        (folder / f"{prefix}{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, n) + bytes(i % 10 for i in range(n)))


def test_digits_are_split_without_overlap_and_fill_the_unit_interval() -> None:
    data = ImageDataModule("digits")
    data.setup()
    sizes = {name: len(split.images) for name, split in data.splits.items()}
    assert sum(sizes.values()) == 1797
    assert sizes["test"] == 359
    seen = [image.numpy().tobytes() for split in data.splits.values() for image in split.images]
    assert len(set(seen)) > 1790  # a few of the 1,797 are equal in themselves
    images, labels = data.images("train")
    assert images.shape[1:] == (1, 28, 28)
    assert images.min() == 0.0
    assert 0.95 < images.max() <= 1.0
    assert set(labels.tolist()) == set(range(10))


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_binarised_pixels_are_on_as_often_as_they_are_grey(mode: str) -> None:
    grey, binary = ImageDataModule("digits"), ImageDataModule("digits", binarize=mode, batch_size=2000)
    grey.setup()
    binary.setup()
    expected = grey.images("val")[0].mean()
    assert set(binary.images("val")[0].unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(binary.images("val")[0].mean(), expected, rtol=0.02, atol=0)
    loader = binary.train_dataloader()
    loader.shuffled = [next(iter(loader))[0], next(iter(loader))[0]]
    first, second = (batch.sum(dim=0) for batch in loader.shuffled)
    assert torch.equal(first, second) == (mode == "static")


def test_limit_takes_no_more_than_it_says() -> None:
    data = ImageDataModule("digits", limit=100)
    data.setup()
    assert {name: len(split.images) for name, split in data.splits.items()} == {"val": 100, "train": 100, "test": 100}


def test_reference_images_are_the_same_at_every_call() -> None:
    data = ImageDataModule("digits", binarize="dynamic")
    data.setup()
    first, second = data.reference_images("train", 50), data.reference_images("train", 50)
    assert torch.equal(first[0], second[0])
    assert torch.equal(data.reference_images("train", 20)[0], first[0][:20])


@pytest.mark.parametrize(("dataset", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")])
def test_idx_files_of_the_family_are_read(dataset: str, folder: str, tmp_path: Path) -> None:
    write_idx(tmp_path / folder / "raw")
    data = ImageDataModule(dataset, root=str(tmp_path), verify=False)
    data.setup()
    assert {name: len(split.images) for name, split in data.splits.items()} == {"val": 4, "train": 36, "test": 40}


def test_emnist_is_turned_upright(tmp_path: Path) -> None:
    write_idx(tmp_path / "EMNIST" / "raw", prefix="emnist-digits-", test="test")
    data = ImageDataModule("emnist_digits", root=str(tmp_path))
    data.setup()
    raw = (tmp_path / "EMNIST" / "raw" / "emnist-digits-test-images-idx3-ubyte").read_bytes()[16 : 16 + 784]
    lying = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(28, 28)
    assert torch.equal(data.splits["test"].images[0, 0], lying.T)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("train-images-idx3-ubyte", lambda raw: raw[:-100], "expected 31376 bytes for 40 items, found 31276"),
        ("train-images-idx3-ubyte", lambda raw: raw[:5], "expected an IDX header of 16 bytes, found 5"),
        ("train-images-idx3-ubyte", lambda raw: gzip.compress(raw), "expected an IDX file of kind 0x0803"),
        ("train-images-idx3-ubyte", lambda raw: raw[:11] + b"\x20" + raw[12:], r"expected items of shape \(28, 28\), found \(32, 28\)"),
        ("t10k-labels-idx1-ubyte", lambda raw: raw[:7] + bytes([39]) + raw[8:-1], "expected 40 labels, one for each image of .*, found 39"),
        ("t10k-labels-idx1-ubyte", lambda raw: raw[:-1] + b"\x0b", "expected the labels 0 to 9 of 10 classes, found labels 0 to 11"),
    ],
    ids=["truncated", "no header", "still packed", "other shape", "too few labels", "label 11"],
)  # fmt: skip
def test_damaged_files_are_refused_by_name(file: str, change, said: str, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw)
    (raw / file).write_bytes(change((raw / file).read_bytes()))
    with pytest.raises(ValueError, match=f"{file}: {said}"):
        ImageDataModule("mnist", root=str(tmp_path), verify=False).setup()


def out_of_reach(urls: list[str]) -> None:
    raise OSError("no route")


def test_without_data_there_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_probe", out_of_reach)
    said = r"(?s)mnist is not in .* could not be downloaded \(no route\).*expected train-images.*set --data.root or MNIST_ROOT"
    with pytest.raises(FileNotFoundError, match=said):
        ImageDataModule("mnist", root=str(tmp_path)).prepare_data()


def test_the_fallback_is_taken_with_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_probe", out_of_reach)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MNIST_ROOT", raising=False)
    data = ImageDataModule()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.prepare_data()
        data.setup()
    assert len([w for w in caught if "taking digits instead" in str(w.message)]) == 1
    assert data.state_dict()["dataset"] == data.hparams["dataset"] == "digits"
    with pytest.raises(ValueError, match="trained on mnist, this run has digits"):
        data.load_state_dict({"dataset": "mnist"})


def test_a_mirror_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PATIENCE", 0.3)
    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda *args, **options: time.sleep(1) or contextlib.nullcontext())
    with pytest.raises(OSError, match="no answer"):
        sources._probe(["https://nowhere.invalid/"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"limit": 0}, "limit must be at least 1 or null"),
        ({"binarize": None}, "binarize must be none, static or dynamic, got None"),
        ({"dataset": "mnits"}, r"(?s)dataset to be one of mnist, .*got 'mnits'.*did you mean mnist\?"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImageDataModule(**arguments).prepare_data()


@needs_mnist
def test_mnist_has_its_55000_5000_10000_images_and_its_pixel_variance() -> None:
    data = ImageDataModule("mnist", root=str(mnist_root()))
    data.setup()
    assert {name: len(split.images) for name, split in data.splits.items()} == {"val": 5000, "train": 55000, "test": 10000}
    assert abs(float(data.images("train")[0].var()) - 0.0949) < 0.0005


def test_missing_files_are_downloaded_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through torchvision's own downloader, from a server on this machine."""
    source, root = tmp_path / "server", tmp_path / "data"
    write_idx(source)
    resources = []
    for file in sorted(source.iterdir()):
        packed = source / f"{file.name}.gz"
        packed.write_bytes(gzip.compress(file.read_bytes()))
        resources.append((packed.name, hashlib.md5(packed.read_bytes()).hexdigest()))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(source))
    monkeypatch.setattr(handler.func, "log_message", lambda *words: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(sources.FAMILY["mnist"], "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(sources.FAMILY["mnist"], "resources", [*resources[:-1], (resources[-1][0], "0" * 32)])
        with pytest.raises(FileNotFoundError, match="could not be downloaded"):  # the last file is not what it should be
            ImageDataModule("mnist", root=str(root)).prepare_data()
        assert list(root.iterdir()) == []
        monkeypatch.setattr(sources.FAMILY["mnist"], "resources", resources)
        data = ImageDataModule("mnist", root=str(root), verify=False)
        data.prepare_data()
        server.shutdown()
    data.setup()
    assert len(data.splits["test"].images) == 40
    assert [path.name for path in root.iterdir()] == ["MNIST"]
