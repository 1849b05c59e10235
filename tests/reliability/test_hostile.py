"""R16, R17: nothing in a file is executed, and no module is imported that the user has not named."""

import importlib
import inspect
import io
import os
import pickle
import struct
import typing
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from conftest import DATA, DATASET, ROOT

import callbacks
from datamodules import ImageDataModule
from lit_models import MODELS
from lit_models.checkpoints.archive import CheckpointError
from lit_models.checkpoints.atomic_io import AtomicCheckpointIO, read_checkpoint
from lit_models.training.configs import read

# -- R16: checkpoints


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def good(folder: Path) -> dict[str, object]:
    file = next(folder.glob(f"logs/ae/{DATA}/version_0/checkpoints/last.ckpt"))
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
    """`raw`, with `size` as the size of its first tensor in the archive's table of contents."""
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
    "a model elsewhere": lambda good: saved(good | {"run": {"model": "evil.Evil", "data": "evil.Evil", "dataset": DATA}}),
    "a compressed archive": lambda good: archive({"data.pkl": bytes(10**7)}, zipfile.ZIP_DEFLATED),
    "a tensor of 4 GB in a small file": lambda good: claiming(saved(good), 2**32 - 16),
    "a pickle in an archive": lambda good: archive({"data.pkl": pickle.dumps(Evil(), protocol=2), "version": b"3"}),
    "an archive of nothing": lambda good: archive({}),
    "no dictionary": lambda good: saved([1, 2, 3]),
    "a state that is none": lambda good: saved(good | {"state_dict": {"weight": "evil"}}),
    "a shell script": lambda good: b"#!/bin/sh\ntouch executed\n",
    "TorchScript": lambda good: archive({"constants.pkl": pickle.dumps(Evil(), protocol=2), "data.pkl": b"", "version": b"3"}),
}
SHORT = [f"--data.dataset={DATASET}", "--data.epoch_images=null", "--trainer.max_epochs=1"]
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "fit": lambda file: ["fit", "--config=ae", f"--ckpt_path={file}", f"--data.dataset={DATASET}", "--trainer.max_epochs=9"],
    "fit --weights": lambda file: ["fit", "--config=ae", f"--weights={file}", *SHORT],
    "validate": lambda file: ["validate", "--config=ae", f"--ckpt_path={file}", f"--data.dataset={DATASET}"],
    "test": lambda file: ["test", file],
    "predict": lambda file: ["predict", file],
    "sample": lambda file: ["sample", file],
    "judge": lambda file: ["judge", "--make", file, file, f"--data={DATASET}", "--output=judge.pt"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_r16_no_command_executes_anything_in_a_hostile_checkpoint(
    command: str, fit, lightning, tmp_path: Path, monkeypatch, capsys
) -> None:
    fit("ae", "--trainer.max_epochs=1", "--model.init_args.channels=32")
    (tmp_path / "evil.py").write_text("import os\nos.system('touch executed')\nclass Evil: ...\n")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    whole, before = good(tmp_path), sorted(tmp_path.rglob("*"))
    for kind, make in HOSTILE.items():
        if kind.startswith("_") and command in ("fit --weights",):
            continue  # this command reads no hyperparameters, and the weights are those of an AE
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
def test_r16_an_address_is_refused_as_a_checkpoint(command: str, address: str, lightning, tmp_path: Path, capsys) -> None:
    assert lightning(*COMMANDS[command](address)) == 2
    assert capsys.readouterr().err.startswith("lightning: expected a checkpoint file")
    assert not list(tmp_path.iterdir())


def test_r16_checkpoints_are_loaded_in_one_place_with_weights_only() -> None:
    calls = []
    for folder in ("lit_models", "callbacks", "datamodules", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            calls += [line.strip() for line in file.read_text().splitlines() if "torch.load(" in line or "load_from_checkpoint(" in line]
    assert calls == ['found = torch.load(path, map_location="cpu", weights_only=True)']


def test_r16_a_checkpoint_with_other_than_plain_values_is_refused(tmp_path: Path) -> None:
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
def test_r17_a_module_that_the_user_has_not_named_is_not_imported(way: str, lightning, tmp_path: Path, capsys) -> None:
    """The module is in the working directory, and the config is in another folder."""
    (tmp_path / "evil.py").write_text("open('imported', 'w')\nclass Evil: ...\n")
    folder, (content, words) = tmp_path / "elsewhere", EVIL[way]
    folder.mkdir()
    (folder / "mine.yaml").write_text(content)
    assert lightning("fit", "--config", "elsewhere/mine.yaml", f"--data.dataset={DATASET}", *words) == 2
    said = capsys.readouterr().err
    assert "which would be imported from" in said
    assert "--import" in said
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "logs").exists()


def test_r17_a_module_next_to_the_config_or_named_by_import_is_imported(fit, lightning, tmp_path: Path) -> None:
    own = "from lit_models.ae import AE\nclass Mine(AE):\n    pass\n".replace("    pass\n", "    '''An AE.'''\n")
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "own_model.py").write_text(own)
    (beside / "own.yaml").write_text("model: {class_path: own_model.Mine}\n")
    assert lightning("fit", "--config", "beside/own.yaml", f"--data.dataset={DATASET}", "--trainer.fast_dev_run=1") == 0
    (tmp_path / "own_too.py").write_text(own)
    words = ("--model=own_too.Mine", f"--data.dataset={DATASET}", "--trainer.fast_dev_run=1")
    assert lightning("fit", *words) == 2
    assert lightning("fit", "--import", "own_too", *words) == 0


def annotations(kind: type) -> dict[str, object]:
    return {name: each.annotation for name, each in inspect.signature(kind).parameters.items()}


def within(annotation: object) -> list[object]:
    return [annotation, *(part for each in typing.get_args(annotation) for part in within(each))]


def test_r17_no_argument_of_the_projects_classes_takes_code() -> None:
    models = [getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in MODELS.values()]
    ours = [
        *models,
        *(getattr(callbacks, name) for name in callbacks.__all__ if name not in ("KeepBestAndLast", "Progress", "reproducible")),
    ]
    for kind in [*ours, ImageDataModule, AtomicCheckpointIO]:
        for name, annotation in annotations(kind).items():
            for part in within(annotation):
                assert part is not typing.Any, f"{kind.__name__}.{name}"
                assert typing.get_origin(part) is not Callable, f"{kind.__name__}.{name}"
                assert "Callable" not in str(part), f"{kind.__name__}.{name}"


def test_r17_yaml_tags_that_make_objects_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evil.yaml"
    file.write_text("model: !!python/object/apply:os.system ['touch executed']\n")
    with pytest.raises(ValueError, match="expected YAML"):
        read(file)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(file.read_text())
