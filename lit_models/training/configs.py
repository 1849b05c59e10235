"""Configs by path or by name: files on disk first, then the shipped ones. This module needs no torch."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

import lit_models

SHIPPED = Path(lit_models.__file__).parent.parent / "configs"
BASE = SHIPPED / "base.yaml"


def shipped() -> dict[str, Path]:
    """The models' configs by name, then overlays as overlays/NAME."""
    models = {file.stem: file for file in sorted(SHIPPED.glob("*.yaml")) if file != BASE and file.stem not in studies()}
    return models | {f"overlays/{file.stem}": file for file in sorted((SHIPPED / "overlays").glob("*.yaml"))}


def studies() -> dict[str, Path]:
    """Plans of `lightning study` by name."""
    return {file.stem: file for file in sorted(SHIPPED.glob("study*.yaml"))}


def find(name: str, folder: Path | None = None) -> Path:
    """`configs/vqvae.yaml`, `vqvae.yaml` or `vqvae`; overlays also without their folder.

    Args:
        folder: Where to look first; by default the working directory.
    Raises:
        ValueError: If there is no such file and no such shipped config.
    """
    for candidate in (Path(name), Path(f"{name}.yaml")):
        if (folder or Path()).joinpath(candidate).is_file():
            return (folder or Path()).joinpath(candidate).resolve()
    key = name.removesuffix(".yaml").removeprefix("configs/")
    known = shipped() | studies()
    for shipped_name in (key, f"overlays/{key}"):
        if shipped_name in known:
            return known[shipped_name]
    remedy = did_you_mean(key, [*known, *(path.stem for path in known.values())]) or "lightning configs lists them"
    raise ValueError(f"expected a config file, or one of {', '.join(known)}\ngot {name!r}, which is neither\n{remedy}")


def read(file: Path) -> dict[str, Any]:
    """The keys of a config file; ValueError if it is no text, no YAML, or has no keys."""
    try:
        content = yaml.safe_load(file.read_text())
    except UnicodeDecodeError as error:
        raise ValueError(f"expected text in {file}\ngot bytes that are no text: {error}\nwrite it anew") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: {getattr(error, 'problem', error)}" if mark else " ".join(str(error).split())
        raise ValueError(f"expected YAML in {file}\n{where}\ncorrect that line") from error
    if not isinstance(content, dict):
        raise ValueError(f"expected keys such as model: and data: in {file}\ngot {type(content).__name__}\nsee lightning configs")
    return content


def run_name(files: list[Path]) -> str:
    """The names of the first file and of later ones that change model or data: `vae+binarized`. A run's config.yaml has the run's name."""
    first, *others = files
    if "class_path" not in read(first).get("model", {}):
        raise ValueError(
            f"expected the model's config first, overlays after it\ngot {first.stem} first\nfor example --config vae --config fast"
        )
    name = first.parents[2].name if first.name == "config.yaml" and re.fullmatch(r"version_\d+", first.parent.name) else first.stem
    return "+".join([name, *(file.stem for file in others if {"model", "data"} & read(file).keys())])


def take_configs(arguments: list[str]) -> tuple[list[Path], list[str]]:
    """The files that `--config X`, `--config=X`, `-c X` name, and the arguments with their paths in place of names."""
    files, resolved = [], []
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag not in ("--config", "-c"):
            resolved.append(word)
            continue
        if not equals:
            value = next(words, "")
        files.append(find(value))
        resolved.append(f"--config={files[-1]}")
    return files, resolved


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """'did you mean x?', or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""
