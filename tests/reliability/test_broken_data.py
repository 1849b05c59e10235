"""R15, R17: damaged data, configs and pictures are refused with a short error that names the fault."""

import contextlib
import hashlib
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from test_data import write_idx

from datamodules import MNISTDataModule
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
    MNISTDataModule("mnist", root=str(tmp_path)).setup()
    name, change = DAMAGES[kind]
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(ValueError, match=rf"{name}: expected .*found"):
        MNISTDataModule("mnist", root=str(tmp_path)).setup()


def test_r15_other_well_formed_data_is_accepted_only_without_verification(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    with pytest.raises(ValueError, match=r"expected the published file.*--data\.verify false"):
        MNISTDataModule("mnist", root=str(tmp_path)).setup()
    MNISTDataModule("mnist", root=str(tmp_path), verify=False).setup()


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
