"""Hostile and broken input: nothing in a file is run, and what is wrong with it is said."""

import contextlib
import hashlib
import importlib
import inspect
import io
import os
import pickle
import random
import struct
import typing
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT
from test_data import write_idx

import callbacks
from datamodules import MNISTDataModule
from datamodules.idx import read_split
from lit_models import loggers
from lit_models.archive import CheckpointError
from lit_models.checkpoint_io import AtomicCheckpointIO, read_checkpoint
from lit_models.command.configs import read
from lit_models.command.errors import UserError
from lit_models.command.on_runs import SHIPPED
from lit_models.study.page import picture_data

# -- R15: data

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
    """The published files are, for this test, four small ones."""
    folder = tmp_path / "MNIST" / "raw"
    write_idx(folder)
    published = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    monkeypatch.setattr("datamodules.idx.PUBLISHED", published)
    MNISTDataModule("mnist", root=str(tmp_path)).setup()
    name, change = DAMAGES[kind]
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(ValueError, match=rf"{name}: expected .*found"):
        MNISTDataModule("mnist", root=str(tmp_path)).setup()


def test_r15_unknown_but_well_formed_data_is_taken_where_the_user_says_so(tmp_path: Path) -> None:
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
        except UserError as error:
            said.append(str(error))
    assert said
    assert all(len(words.splitlines()) <= 3 for words in said)
    picture = next((ROOT / "docs").rglob("*.png")).read_bytes()
    file = tmp_path / "fuzzed.png"
    for _ in range(500):
        file.write_bytes(fuzzed(picture[:2000], drawn))
        with contextlib.suppress(ValueError):
            assert picture_data(file)["uri"].startswith("data:image/png;base64,")


# -- R16: checkpoints


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def good(folder: Path) -> dict[str, object]:
    file = next(folder.glob("logs/ae/digits/version_0/checkpoints/last.ckpt"))
    return torch.load(file, weights_only=True)


def archive(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as writer:
        for name, content in parts.items():
            writer.writestr(f"archive/{name}", content)
    return stream.getvalue()


def saved(content: object, **options: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def claiming(raw: bytes, size: int) -> bytes:
    """With the first tensor's size in the table of contents set to another."""
    place = raw.index(b"PK\x01\x02", raw.index(b"data/0"))
    entry = raw.index(b"data/0", place) - 46
    while raw[entry : entry + 4] != b"PK\x01\x02":
        entry -= 1
    return raw[: entry + 20] + struct.pack("<2I", size, size) + raw[entry + 28 :]


HOSTILE: dict[str, Callable[[dict[str, object]], bytes]] = {
    "a pickle": lambda good: pickle.dumps(Evil()),
    "a pickle of the first protocol": lambda good: pickle.dumps(Evil(), protocol=0),
    "torch's old format": lambda good: saved(good | {"run": Evil()}, _use_new_zipfile_serialization=False),
    "torch's format": lambda good: saved(good | {"run": Evil()}),
    "a class among hyperparameters": lambda good: saved(good | {"hyper_parameters": {"latent_dim": Evil()}}),
    "_instantiator": lambda good: saved(good | {"hyper_parameters": {"_instantiator": "os.system", "latent_dim": "touch executed"}}),
    "_class_path": lambda good: saved(good | {"hyper_parameters": {"_class_path": "evil.Evil", "init_args": {}}}),
    "a model elsewhere": lambda good: saved(good | {"run": {"model": "evil.Evil", "data": "evil.Evil", "dataset": "digits"}}),
    "a compressed archive": lambda good: archive({"data.pkl": bytes(10**7)}, zipfile.ZIP_DEFLATED),
    "a tensor of 4 GB in a small file": lambda good: claiming(saved(good), 2**32 - 16),
    "a pickle in an archive": lambda good: archive({"data.pkl": pickle.dumps(Evil(), protocol=2), "version": b"3"}),
    "an archive of nothing": lambda good: archive({}),
    "no dictionary": lambda good: saved([1, 2, 3]),
    "a state that is none": lambda good: saved(good | {"state_dict": {"weight": "evil"}}),
    "a shell script": lambda good: b"#!/bin/sh\ntouch executed\n",
    "TorchScript": lambda good: archive({"constants.pkl": pickle.dumps(Evil(), protocol=2), "data.pkl": b"", "version": b"3"}),
}
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "fit": lambda file: ["fit", "--config=ae", f"--ckpt_path={file}", "--data.dataset=digits", "--trainer.max_epochs=9"],
    "fit --weights": lambda file: ["fit", "--config=ae", f"--weights={file}", "--data.dataset=digits", "--trainer.max_epochs=1"],
    "validate": lambda file: ["validate", "--config=ae", f"--ckpt_path={file}", "--data.dataset=digits"],
    "test": lambda file: ["test", file],
    "predict": lambda file: ["predict", file],
    "sample": lambda file: ["sample", file],
    "judge": lambda file: ["judge", file, file, "--dataset=digits", "--output=judge.pt"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_r16_no_hostile_checkpoint_does_anything(command: str, fit, lightning, tmp_path: Path, monkeypatch, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1", "--model.init_args.channels=32")
    (tmp_path / "evil.py").write_text("import os\nos.system('touch executed')\nclass Evil: ...\n")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    whole, before = good(tmp_path), sorted(tmp_path.rglob("*"))
    for kind, make in HOSTILE.items():
        if kind.startswith("_") and command in ("fit --weights",):
            continue  # it reads no hyperparameters: the weights are those of an AE
        file = tmp_path / "hostile.ckpt"
        file.write_bytes(make(whole))
        code = lightning(*COMMANDS[command](str(file)))
        said = capsys.readouterr().err
        if command == "fit --weights" and kind in ("a model elsewhere",):
            assert code == 0, said
        else:
            assert code != 0, kind
            assert said.startswith("lightning: "), (kind, said)
            assert len(said.strip().splitlines()) <= 3
        file.unlink()
        assert not list(tmp_path.rglob("executed")), kind
    if command != "fit --weights":
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/last.ckpt", "https://127.0.0.1:9/a.ckpt", "file:///etc/passwd", "s3://bucket/a.ckpt"]
)
@pytest.mark.parametrize("command", COMMANDS)
def test_r16_an_address_is_no_checkpoint(command: str, address: str, lightning, tmp_path: Path, capsys) -> None:
    assert lightning(*COMMANDS[command](address)) == 2
    assert capsys.readouterr().err.startswith("lightning: expected a checkpoint file")
    assert not list(tmp_path.iterdir())


def test_r16_one_place_loads_and_says_weights_only() -> None:
    calls = []
    for folder in ("lit_models", "callbacks", "datamodules", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            calls += [line.strip() for line in file.read_text().splitlines() if "torch.load(" in line or "load_from_checkpoint(" in line]
    assert calls == ['checkpoint = torch.load(path, map_location="cpu", weights_only=True)']


def test_r16_what_is_no_plain_value_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "file.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, "path": Path("/")}, file)
    with pytest.raises(CheckpointError, match=r"file.ckpt is no readable checkpoint: .*"):
        read_checkpoint(file)


# -- R17: configs

EVIL = {
    "model": ("model: {class_path: evil.Evil}\n", []),
    "callback in short": ("model: {class_path: lit_models.ae.AE}\ntrainer: {callbacks+: [evil.Evil]}\n", []),
    "callback": ("model: {class_path: lit_models.ae.AE}\ntrainer: {callbacks+: [{class_path: evil.Evil}]}\n", []),
    "logger": ("model: {class_path: lit_models.ae.AE}\ntrainer: {logger: evil.Evil}\n", []),
    "data": ("model: {class_path: lit_models.ae.AE}\ndata: {class_path: evil.Evil}\n", []),
    "on the command line": ("model: {class_path: lit_models.ae.AE}\n", ["--trainer.callbacks+=evil.Evil"]),
    "in two words": ("model: {class_path: lit_models.ae.AE}\n", ["--trainer.plugins", "evil.Evil"]),
    "in a fragment": ("model: {class_path: lit_models.ae.AE}\n", ["--trainer.strategy={class_path: evil.Evil}"]),
    "of the library": ("model: {class_path: lit_models.ae.AE}\n", ["--trainer.profiler=antigravity.Evil"]),
}


@pytest.mark.parametrize("way", EVIL)
def test_r17_a_module_that_nobody_has_named_is_not_imported(way: str, lightning, tmp_path: Path, capsys) -> None:
    """It stands in the working directory; the config lies elsewhere."""
    (tmp_path / "evil.py").write_text("open('imported', 'w')\nclass Evil: ...\n")
    folder, (content, words) = tmp_path / "elsewhere", EVIL[way]
    folder.mkdir()
    (folder / "mine.yaml").write_text(content)
    assert lightning("fit", "--config", "elsewhere/mine.yaml", "--data.dataset=digits", *words) == 2
    said = capsys.readouterr().err
    assert "which would be imported from" in said
    assert "--import" in said
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "logs").exists()


def test_r17_a_module_beside_the_config_or_named_by_import_is_the_users_own(fit, lightning, tmp_path: Path) -> None:
    own = "from lit_models.ae import AE\nclass Mine(AE):\n    pass\n".replace("    pass\n", "    '''An AE.'''\n")
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "own_model.py").write_text(own)
    (beside / "own.yaml").write_text("model: {class_path: own_model.Mine}\n")
    assert lightning("fit", "--config", "beside/own.yaml", "--data.dataset=digits", "--trainer.fast_dev_run=1") == 0
    (tmp_path / "own_too.py").write_text(own)
    words = ("--model=own_too.Mine", "--data.dataset=digits", "--trainer.fast_dev_run=1")
    assert lightning("fit", *words) == 2
    assert lightning("fit", "--import", "own_too", *words) == 0


def annotations(kind: type) -> dict[str, object]:
    return {name: each.annotation for name, each in inspect.signature(kind).parameters.items()}


def within(annotation: object) -> list[object]:
    return [annotation, *(part for each in typing.get_args(annotation) for part in within(each))]


def test_r17_no_parameter_of_ours_takes_code() -> None:
    models = [getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in SHIPPED]
    ours = [*models, *(getattr(callbacks, name) for name in callbacks.__all__ if name not in ("KeepBestAndLast", "Progress"))]
    for kind in [*ours, MNISTDataModule, AtomicCheckpointIO]:
        for name, annotation in annotations(kind).items():
            for part in within(annotation):
                assert part is not typing.Any, f"{kind.__name__}.{name}"
                assert typing.get_origin(part) is not Callable, f"{kind.__name__}.{name}"
                assert "Callable" not in str(part), f"{kind.__name__}.{name}"
    assert loggers.MetricsCSV.__init__ is not None


def test_r17_yaml_tags_that_make_objects_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evil.yaml"
    file.write_text("model: !!python/object/apply:os.system ['touch executed']\n")
    with pytest.raises(UserError):
        read(file)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(file.read_text())
