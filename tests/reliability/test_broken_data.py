"""R15, R17: damaged data, configs and pictures are refused with a short error that names the fault."""

import contextlib
import gzip
import hashlib
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from test_data import write_idx

from datamodules import ImageDataModule
from datamodules.idx import read_split
from lit_models.study.page import picture_data
from lit_models.training.configs import read

DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "truncated images": ("train-images-idx3-ubyte", lambda raw: raw[:-1]),
    "truncated labels": ("train-labels-idx1-ubyte", lambda raw: raw[:-1]),
    "longer images": ("t10k-images-idx3-ubyte", lambda raw: raw + b"\0"),
    "longer labels": ("t10k-labels-idx1-ubyte", lambda raw: raw + b"\0"),
    "empty": ("train-images-idx3-ubyte", lambda raw: b""),
    "header alone": ("train-images-idx3-ubyte", lambda raw: raw[:16]),
    "half a header": ("train-labels-idx1-ubyte", lambda raw: raw[:5]),
    "labels where images should be": ("train-images-idx3-ubyte", lambda raw: struct.pack(">2I", 0x801, 40) + bytes(40)),
    "images where labels should be": ("t10k-labels-idx1-ubyte", lambda raw: struct.pack(">4I", 0x803, 40, 28, 28) + bytes(40 * 784)),
    "count too large": ("train-images-idx3-ubyte", lambda raw: raw[:4] + struct.pack(">I", 41) + raw[8:]),
    "count of four thousand millions": ("train-images-idx3-ubyte", lambda raw: raw[:4] + b"\xff" * 4 + raw[8:]),
    "no image at all": ("train-images-idx3-ubyte", lambda raw: struct.pack(">4I", 0x803, 0, 28, 28)),
    "32 rows": ("train-images-idx3-ubyte", lambda raw: raw[:8] + struct.pack(">I", 32) + raw[12:]),
    "label 10": ("train-labels-idx1-ubyte", lambda raw: raw[:-1] + b"\x0a"),
    "fewer labels than images": ("train-labels-idx1-ubyte", lambda raw: struct.pack(">2I", 0x801, 39) + raw[8:-1]),
    "other type of number": ("train-images-idx3-ubyte", lambda raw: raw[:2] + b"\x0d" + raw[3:]),
    "a web page": ("train-images-idx3-ubyte", lambda raw: b"<!DOCTYPE html><title>Not Found</title>"),
    "a flipped bit": ("train-images-idx3-ubyte", lambda raw: raw[:100] + bytes([raw[100] ^ 1]) + raw[101:]),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_r15_damaged_data_is_refused_with_file_expected_and_found(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this test, four small files take the place of the published ones."""
    folder = tmp_path / "MNIST" / "raw"
    write_idx(folder)
    published = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    monkeypatch.setattr("datamodules.idx.PUBLISHED", published)
    ImageDataModule("mnist", root=str(tmp_path)).setup()
    name, change = DAMAGES[kind]
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(ValueError, match=rf"{name}: expected .*found"):
        ImageDataModule("mnist", root=str(tmp_path)).setup()


def test_r15_other_well_formed_data_is_accepted_only_without_verification(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    with pytest.raises(ValueError, match=r"expected the published file.*--data\.verify false"):
        ImageDataModule("mnist", root=str(tmp_path)).setup()
    ImageDataModule("mnist", root=str(tmp_path), verify=False).setup()


@pytest.mark.parametrize("times", [1000, pytest.param(10_000, marks=pytest.mark.reliability)])
def test_r17_fuzzed_idx_files_give_images_or_a_value_error(times: int, tmp_path: Path) -> None:
    write_idx(tmp_path)
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    whole, drawn = {name: (tmp_path / name).read_bytes() for name in names}, random.Random(0)
    for _ in range(times):
        name = drawn.choice(names)
        changed = bytearray(whole[name])
        for _ in range(drawn.randint(1, 4)):
            changed[drawn.randrange(min(len(changed), 64))] = drawn.randrange(256)
        del changed[drawn.choice((len(changed), drawn.randrange(len(changed)))) :]
        (tmp_path / name).write_bytes(changed)
        try:
            images, labels = read_split(*(tmp_path / each for each in names))
        except ValueError:
            continue
        finally:
            (tmp_path / name).write_bytes(whole[name])
        assert len(images) == len(labels)
        assert images.shape[1:] == (28, 28)
        assert labels.max() <= 9


PIECES = (b"{", b"}", b"[", b":", b"&a ", b"*a ", b"!!python/object/apply:os.system ", b"- ", b"\x00", b"'", b"|", b"\t")


def fuzzed(raw: bytes, drawn: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(drawn.randint(1, 8)):
        place = drawn.randrange(len(changed))
        change = drawn.choice(("set", "insert", "delete"))
        if change == "set":
            changed[place] = drawn.randrange(256)
        elif change == "insert":
            changed[place:place] = drawn.choice(PIECES)
        else:
            del changed[place : place + drawn.randint(1, 20)]
    return bytes(changed)


def test_r17_fuzzed_configs_and_pictures_give_a_short_error(tmp_path: Path) -> None:
    drawn = random.Random(0)
    configs, file, said = sorted((ROOT / "configs").glob("*.yaml")), tmp_path / "fuzzed.yaml", []
    for _ in range(500):
        file.write_bytes(fuzzed(drawn.choice(configs).read_bytes(), drawn))
        try:
            assert isinstance(read(file), dict)
        except ValueError as error:
            said.append(str(error))
    assert said
    assert all(len(words.splitlines()) <= 3 for words in said)
    picture = next((ROOT / "docs").rglob("*.png")).read_bytes()
    file = tmp_path / "fuzzed.png"
    for _ in range(500):
        file.write_bytes(fuzzed(picture[:2000], drawn))
        with contextlib.suppress(ValueError):
            assert picture_data(file)["uri"].startswith("data:image/png;base64,")


def one_image(folder: Path, number: int, side: int = 28, value: int | None = None) -> Path:
    file = folder / f"{number:02}.png"
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(*((0, 256) if value is None else (value, value + 1)), (side, side), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
    return file


def folder(path: Path, classes: int = 2, **options: int) -> Path:
    for number in range(12):
        one_image(path / "abc"[number % classes] if classes else path, number, **options)
    return path


def with_bytes(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def archive(path: Path, **arrays: object) -> Path:
    given = {"images": np.random.default_rng(0).random((12, 28, 28)), "labels": np.arange(12) % 2} | arrays
    np.savez(path.with_suffix(".npz"), **{name: np.asarray(array) for name, array in given.items() if array is not None})
    return path.with_suffix(".npz")


def changed_floats(value: float) -> np.ndarray:
    return np.where(np.arange(12 * 784).reshape(12, 28, 28) == 3000, value, GREY)


def table(path: Path, change: Callable[[list[str]], list[str]], columns: int = 785) -> Path:
    rows = [",".join([str(number % 2), *["7", "250"] * (columns // 2)]) for number in range(12)]
    path.with_suffix(".csv").write_text("\n".join(change(rows)))
    return path.with_suffix(".csv")


def words(path: Path) -> Path:
    path.with_suffix(".txt").write_text("not an image")
    return path.with_suffix(".txt")


def packed(file: Path) -> None:
    file.rename(file.with_suffix(".gz"))
    with_bytes(file.with_suffix(".gz"), lambda raw: gzip.compress(raw)[:-500])


def idx(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    write_idx(path, prefix="my-", test="test")
    for file in path.glob("my-test*"):
        file.unlink()
    with_bytes(path / f"my-{name}", change)
    return path


GREY, TWO = np.random.default_rng(0).random((12, 28, 28)), np.arange(12) % 2
IMAGES_FILE, LABELS_FILE = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
OWN: dict[str, tuple[Callable[[Path], object], str]] = {  # what is written, and what has to be said
    "mixed sizes": (lambda path: (folder(path), one_image(path / "a", 20, 30)), r"28 x 28 \(.*\) and 30 x 30 \(20.png\)"),
    "corrupt image": (lambda path: (folder(path), with_bytes(path / "a" / "00.png", lambda raw: raw[:200])), r"decoded .* in .*a/00\.png"),
    "no image inside": (lambda path: (folder(path), with_bytes(path / "b" / "01.png", lambda raw: b"x")), r"decoded .* in .*b/01\.png"),
    "empty class": (lambda path: (folder(path), (path / "c").mkdir()), "no PNG or JPEG in .*c"),
    "one class folder": (lambda path: folder(path, 1), "one, a,"),
    "images beside classes": (lambda path: (folder(path), one_image(path, 30)), "got both"),
    "pixels all equal": (lambda path: folder(path, value=9), "pixels that are all 9"),
    "bytes 0 and 1": (lambda path: archive(path, images=(GREY > 0.5).astype(np.uint8)), "bytes 0 and 1 only"),
    "too few images": (lambda path: [one_image(path, number) for number in range(9)], "at least 10 images\ngot 9"),
    "no image": (lambda path: path.mkdir(), "got no image"),
    "arrays in a folder": (lambda path: (path.mkdir(), archive(path / "x")), r"got x\.npz in"),
    "another kind of file": (words, r"another kind \(\.txt\)"),
    "floats above 1": (lambda path: archive(path, images=changed_floats(1.5)), "values from .* to 1.5"),
    "floats below 0": (lambda path: archive(path, images=changed_floats(-0.1)), "values from -0.1 to"),
    "NaN": (lambda path: archive(path, images=changed_floats(float("nan"))), "got NaN"),
    "integers above 255": (lambda path: archive(path, images=np.arange(12 * 784).reshape(12, 28, 28)), "values from 0 to 9407"),
    "an array of one dimension": (lambda path: archive(path, images=np.zeros(12)), "named images or x"),
    "four channels": (lambda path: archive(path, images=np.zeros((12, 28, 28, 4))), "an array 12 x 28 x 28 x 4"),
    "negative label": (lambda path: archive(path, labels=np.arange(12) % 2 - 1), "got label -1"),
    "label of a half": (lambda path: archive(path, labels=np.arange(12) % 2 / 2), "got label 0.5"),
    "label of each image": (lambda path: archive(path, labels=np.arange(12) * 100), "12 different labels of 12 images"),
    "label out of range": (lambda path: archive(path, labels=[*np.arange(11) % 2, 255]), "label 255 of a single image"),
    "one class": (lambda path: archive(path, labels=np.zeros(12, dtype=int)), "12 labels that are all 0"),
    "fewer labels": (lambda path: archive(path, labels=np.arange(11) % 2), "expected 12 labels, one per image\ngot 11"),
    "labels as objects": (lambda path: archive(path, labels=np.array([None, 1] * 6)), "Python objects in labels"),
    "label of no training image": (
        lambda path: archive(path, images=None, labels=None, x_train=GREY, y_train=TWO, x_test=GREY, y_test=TWO + 1),
        "label 2 in other parts alone",
    ),
    "truncated archive": (lambda path: with_bytes(archive(path), lambda raw: raw[:-500]), "expected an archive of numpy.savez"),
    "a flipped byte": (lambda path: with_bytes(archive(path), lambda raw: raw[:900] + bytes([raw[900] ^ 1]) + raw[901:]), "archive"),
    "a short row": (lambda path: table(path, lambda rows: [*rows[:5], rows[5][:-4], *rows[6:]]), "expected 784 numbers in each row"),
    "a word among pixels": (lambda path: table(path, lambda rows: [*rows[:5], rows[5][:-3] + "dog", *rows[6:]]), "784 numbers in each row"),
    "an empty cell": (lambda path: table(path, lambda rows: [*rows[:5], rows[5][:-3], *rows[6:]]), "784 numbers in each row"),
    "pixel 256": (lambda path: table(path, lambda rows: [*rows[:5], rows[5][:-3] + "256", *rows[6:]]), "values from 7 to 256"),
    "800 columns": (lambda path: table(path, lambda rows: rows, 799), "got 799 columns"),
    "truncated IDX": (lambda path: idx(path, IMAGES_FILE, lambda raw: raw[:-1]), "31375 bytes for 40 images"),
    "truncated packed IDX": (lambda path: packed(idx(path, IMAGES_FILE, lambda raw: raw) / f"my-{IMAGES_FILE}"), "end-of-stream"),
    "truncated IDX labels": (lambda path: idx(path, LABELS_FILE, lambda raw: raw[:-1]), "expected a whole IDX file of labels"),
}  # fmt: skip
CONTROLS: dict[str, Callable[[Path], object]] = {
    "a folder": folder,
    "a flat folder": lambda path: folder(path, 0),
    "an archive": archive,
    "an archive of booleans": lambda path: archive(path, images=GREY > 0.5),
    "a table": lambda path: table(path, lambda rows: rows),
    "IDX": lambda path: idx(path, IMAGES_FILE, lambda raw: raw),
}


def written(path: Path) -> str:
    return str(next(file for file in sorted(path.parent.iterdir()) if file.stem == "mine"))


@pytest.mark.parametrize("kind", OWN)
def test_r15_bad_own_images_are_refused_in_three_lines_with_their_path(kind: str, tmp_path: Path) -> None:
    write, said = OWN[kind]
    write(tmp_path / "mine")
    with pytest.raises(ValueError, match=said) as refused:
        ImageDataModule(written(tmp_path / "mine")).setup()
    lines = str(refused.value).splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["expected", "got"]
    assert len(lines) == 3
    assert str(tmp_path) in lines[1]


@pytest.mark.parametrize("kind", CONTROLS)
def test_r15_the_same_files_undamaged_are_taken(kind: str, tmp_path: Path) -> None:
    CONTROLS[kind](tmp_path / "mine")
    data = ImageDataModule(written(tmp_path / "mine"))
    data.setup()
    assert sum(split.n for split in data.splits.values()) in (12, 40)
