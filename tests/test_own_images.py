"""Own images: every format gives the images that were written, splits are reproducible, and mapped images are the same."""

import gzip
import io
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import ImageDataModule, storage
from datamodules.readers.image_folder import decoded

N = 60


def pictures(n: int = N, side: int = 28, channels: int = 1) -> np.ndarray:
    """Random images (N, C, H, W), none of which is like another."""
    return np.random.default_rng(0).integers(0, 256, (n, channels, side, side), dtype=np.uint8)


LABELS = np.arange(N) % 3
GREY, COLOUR = pictures(), pictures(channels=3)


def png(file: Path, image: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(file)


def write_folder(path: Path, images: np.ndarray = GREY, names: tuple[str, ...] = ("ant", "bee", "cow")) -> Path:
    for number, (image, label) in enumerate(zip(images, LABELS[: len(images)], strict=True)):
        png(path / names[label] / f"{number:03}.png", image)
    return path


def write_flat(path: Path, images: np.ndarray = COLOUR) -> Path:
    for number, image in enumerate(images):
        png(path / f"{number:03}.png", image)
    return path


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def write_npy(path: Path, images: np.ndarray, labels: np.ndarray | None = None) -> Path:
    np.save(path.with_suffix(".npy"), images)
    if labels is not None:
        np.save(path.with_name(f"{path.name}_labels.npy"), labels)
    return path.with_suffix(".npy")


def write_csv(path: Path, last: bool = False, header: bool = True, labelled: bool = True) -> Path:
    label = LABELS[:, None] if labelled else LABELS[:, None][:, :0]
    pixels = GREY.reshape(N, -1)
    names = ["label"] * labelled + [f"pixel{number}" for number in range(784)]
    text = io.StringIO()
    np.savetxt(text, np.hstack([pixels, label] if last else [label, pixels]), fmt="%d", delimiter=",")
    path.with_suffix(".csv").write_text((",".join(names) + "\n") * header + text.getvalue())
    return path.with_suffix(".csv")


def write_idx(path: Path, labelled: bool = True, packed: bool = False) -> Path:
    path.mkdir()
    files = {"pictures": struct.pack(">4I", 0x803, N, 28, 28) + GREY.tobytes()}
    files |= {"what-they-are": struct.pack(">2I", 0x801, N) + LABELS.astype(np.uint8).tobytes()} if labelled else {}
    for name, raw in files.items():
        (path / f"{name}{'.gz' * packed}").write_bytes(gzip.compress(raw) if packed else raw)
    return path


Written = tuple[Callable[[Path], Path], np.ndarray, bool]
FORMATS: dict[str, Written] = {
    "a folder by class": (write_folder, GREY, True),
    "a colour folder by class": (lambda path: write_folder(path, COLOUR), COLOUR, True),
    "a flat folder": (write_flat, COLOUR, False),
    "npz": (lambda path: write_npz(path, images=GREY[:, 0], labels=LABELS), GREY, True),
    "npz, x and y": (lambda path: write_npz(path, y=LABELS, x=COLOUR), COLOUR, True),
    "npz without names": (lambda path: write_npz(path, anything=COLOUR.transpose(0, 2, 3, 1)), COLOUR, False),
    "npz in Fortran's order": (lambda path: write_npz(path, x=np.asfortranarray(COLOUR)), COLOUR, False),
    "npy N x H x W": (lambda path: write_npy(path, GREY[:, 0]), GREY, False),
    "npy N x H x W x C": (lambda path: write_npy(path, COLOUR.transpose(0, 2, 3, 1), LABELS), COLOUR, True),
    "npy N x C x H x W": (lambda path: write_npy(path, COLOUR), COLOUR, False),
    "npy of floats": (lambda path: write_npy(path, (GREY / 255).astype(np.float32)), GREY, False),
    "npy of integers": (lambda path: write_npy(path, GREY.astype(np.int64)), GREY, False),
    "csv as Kaggle's": (write_csv, GREY, True),
    "csv, label last, no header": (lambda path: write_csv(path, last=True, header=False), GREY, True),
    "csv without labels": (lambda path: write_csv(path, labelled=False, header=False), GREY, False),
    "idx": (write_idx, GREY, True),
    "idx packed, without labels": (lambda path: write_idx(path, labelled=False, packed=True), GREY, False),
}


def all_of(data: ImageDataModule) -> dict[bytes, int | None]:
    """The label of each image of all splits."""
    found = {}
    for split in ("train", "val", "test"):
        images, labels = data.images(split)
        raw = (images * 255).round().to(torch.uint8).numpy()
        found |= {image.tobytes(): None if labels is None else int(labels[number]) for number, image in enumerate(raw)}
    return found


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_gives_the_images_and_labels_that_were_written(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory and mapped: batch for batch the same, and no file is written into the data."""
    write, images, labelled = FORMATS[kind]
    path = write(tmp_path / "mine")
    data = ImageDataModule(str(path), batch_size=7)
    assert data.dataset_name == "mine"
    assert data.image_shape == images.shape[1:]
    assert data.classes == (3 if labelled else None)
    labels = [int(label) if labelled else None for label in LABELS]
    assert all_of(data) == {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert {name: split.n for name, split in data.splits.items()} == {"val": 4, "train": 44, "test": 12}
    assert f"{N} " in data.describe()
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    mapped = ImageDataModule(str(path), batch_size=7)
    mapped.setup()
    assert mapped.splits["train"].rows is not None
    assert "memory-mapped from" in mapped.describe()
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if ".cache" not in str(file)}.items() <= before.items() | {
        (tmp_path, tmp_path.stat().st_mtime_ns)
    }
    assert mapped.images_sha256 == data.images_sha256
    assert mapped.pixel_variance == data.pixel_variance
    for one, other in ((data.train_dataloader(), mapped.train_dataloader()), (data.test_dataloader(), mapped.test_dataloader())):
        for first, second in zip(one, other, strict=True):
            assert len(first) == (2 if labelled else 1)
            assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_decoded_images_are_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    path = write_npz(tmp_path / "mine", x=GREY)
    for _ in range(2):
        ImageDataModule(str(path)).setup()
    (first,) = (tmp_path / ".cache").iterdir()
    ImageDataModule(str(write_npz(tmp_path / "mine", x=GREY[:50]))).setup()
    assert len(set((tmp_path / ".cache").iterdir()) - {first}) == 1


def test_the_seed_alone_chooses_the_test_images(tmp_path: Path) -> None:
    path = str(write_npy(tmp_path / "mine", GREY))

    def test_images(seed: int) -> torch.Tensor:
        return ImageDataModule(path, seed=seed, limit=None).images("test")[0]

    assert torch.equal(test_images(1), test_images(1))
    assert not torch.equal(test_images(1), test_images(2))
    data = ImageDataModule(path, seed=2)
    assert torch.equal(data.whole().images("test")[0], data.images("test")[0])


def test_splits_that_are_given_are_kept(tmp_path: Path) -> None:
    for split, rows in (("train", slice(0, 30)), ("val", slice(30, 45)), ("test", slice(45, 60))):
        for number in range(N)[rows]:
            png(tmp_path / "mine" / split / f"class{LABELS[number]}" / f"{number}.png", GREY[number])
    folder = ImageDataModule(str(tmp_path / "mine"))
    assert folder.class_names == ("class0", "class1", "class2")
    archive = write_npz(tmp_path / "other", x_train=GREY[:45], y_train=LABELS[:45], x_test=GREY[45:], y_test=LABELS[45:])
    arrays = ImageDataModule(str(archive))
    for data in (folder, arrays):
        raw = {(image * 255).round().to(torch.uint8).numpy().tobytes() for image in data.images("test")[0]}
        assert raw == {image.tobytes() for image in GREY[45:]}
    assert (folder.splits["train"].n, folder.splits["val"].n) == (30, 15)
    assert (arrays.splits["train"].n, arrays.splits["val"].n) == (41, 4)


@pytest.mark.parametrize(
    ("labels", "names"),
    [(LABELS * 3 + 1, ("1", "4", "7")), (np.array(["b", "c", "a"])[LABELS], ("a", "b", "c")), (LABELS.astype(float), ("0", "1", "2"))],
)
def test_labels_with_gaps_and_words_are_numbered_in_sorted_order(labels: np.ndarray, names: tuple[str, ...], tmp_path: Path) -> None:
    data = ImageDataModule(str(write_npz(tmp_path / "mine", images=GREY, labels=labels)))
    assert data.class_names == names
    expected = {
        image.tobytes(): names.index(str(int(label)) if label.dtype.kind != "U" else label)
        for image, label in zip(GREY, labels, strict=True)
    }
    assert all_of(data) == expected


def test_what_is_done_to_the_side_is_said_once(tmp_path: Path) -> None:
    path = write_flat(tmp_path / "mine", pictures(20, 30, 3))
    data = ImageDataModule(str(path))
    with pytest.warns(UserWarning, match="mine are padded to 32 x 32") as told:
        data.setup()
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.setup()
    assert data.describe() == "mine: a folder without classes, 20 colour PNG images of 30 x 30, padded to 32 x 32"
    for number, image in enumerate(pictures(5, 40, 3)):
        png(path / f"large{number}.png", image)
    assert ImageDataModule(str(path), size=64).image_shape == (3, 64, 64), "with a size, images may be of several"


def test_modes_of_images_are_told_apart(tmp_path: Path) -> None:
    """Grey saved as colour is grey, 16 bits keep their shades, what is transparent is white, and one colour image makes all colour."""
    grey = Image.fromarray(GREY[0, 0])
    wide = Image.fromarray(GREY[0, 0].astype(np.uint16) * 257)
    clear = Image.merge("LA", [grey, Image.new("L", grey.size, 0)])
    images = {"rgb.png": grey.convert("RGB"), "wide.png": wide, "clear.png": clear, "grey.png": grey}
    for name, image in images.items():
        image.save(tmp_path / name)
        expected = np.full_like(GREY[0], 255) if name == "clear.png" else GREY[0]
        assert np.array_equal(decoded(tmp_path / name, False), expected), name
        assert np.array_equal(decoded(tmp_path / name, True), expected.repeat(3, axis=0)), name
    grey.convert("RGB").save(write_flat(tmp_path / "mine", GREY[:20]) / "a.jpg")
    assert ImageDataModule(str(tmp_path / "mine")).image_shape == (1, 28, 28)
    png(tmp_path / "mine" / "b.png", COLOUR[0])
    data = ImageDataModule(str(tmp_path / "mine"))
    assert data.image_shape == (3, 28, 28)
    assert "22 colour JPEG and PNG images" in data.describe()


def test_inverting_twice_changes_nothing(tmp_path: Path) -> None:
    once = ImageDataModule(str(write_npy(tmp_path / "mine", GREY)), invert=True)
    images = torch.from_numpy(255 - GREY)
    assert set(all_of(once)) == {image.numpy().tobytes() for image in images}
    twice = ImageDataModule(str(write_npy(tmp_path / "again", images.numpy())), invert=True)
    assert set(all_of(twice)) == {image.tobytes() for image in GREY}


def test_the_state_tells_shape_and_classes_and_refuses_other_images(tmp_path: Path) -> None:
    data = ImageDataModule(str(write_folder(tmp_path / "mine")))
    data.setup()
    state = data.state_dict()
    assert state["image_shape"] == [1, 28, 28]
    assert state["class_names"] == ["ant", "bee", "cow"]
    data.load_state_dict({"dataset": "mine"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").rename(tmp_path / "elsewhere" / "mine")
    moved = ImageDataModule(str(tmp_path / "mine"), root=str(tmp_path / "elsewhere"))
    moved.setup()
    moved.load_state_dict(state)
    (tmp_path / "elsewhere" / "mine" / "ant" / "000.png").unlink()
    other = ImageDataModule(str(tmp_path / "elsewhere" / "mine"))
    other.setup()
    with pytest.raises(ValueError, match="expected the images of mine"):
        other.load_state_dict(state)
