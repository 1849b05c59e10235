"""Configs by path or by name: on disk first, then among the shipped ones."""

from pathlib import Path
from typing import Any

import yaml

import lit_models
from lit_models.command.errors import UserError, did_you_mean

SHIPPED = Path(lit_models.__file__).parent.parent / "configs"
BASE = SHIPPED / "base.yaml"


def shipped() -> dict[str, Path]:
    """Models' configs by name, then overlays as overlays/NAME."""
    models = {file.stem: file for file in sorted(SHIPPED.glob("*.yaml")) if file != BASE and file.stem not in studies()}
    return models | {f"overlays/{file.stem}": file for file in sorted((SHIPPED / "overlays").glob("*.yaml"))}


def studies() -> dict[str, Path]:
    """Plans of `lightning study` by name."""
    return {file.stem: file for file in sorted(SHIPPED.glob("study*.yaml"))}


def find(name: str) -> Path:
    """`configs/vqvae.yaml`, `vqvae.yaml` or `vqvae`; overlays also without their folder."""
    for candidate in (Path(name), Path(f"{name}.yaml")):
        if candidate.is_file():
            return candidate.resolve()
    key = name.removesuffix(".yaml").removeprefix("configs/")
    known = shipped() | studies()
    for shipped_name in (key, f"overlays/{key}"):
        if shipped_name in known:
            return known[shipped_name]
    raise UserError(
        f"expected a config file, or one of {', '.join(known)}",
        f"got {name!r}, which is neither",
        did_you_mean(key, [*known, *(path.stem for path in known.values())]) or "lightning configs lists them",
    )


def read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except UnicodeDecodeError as error:
        raise UserError(f"expected text in {file}", f"got bytes that are none: {error}", "write it anew") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: {getattr(error, 'problem', error)}" if mark else str(error)
        raise UserError(f"expected YAML in {file}", where, "mend that line") from error
    if not isinstance(content, dict):
        raise UserError(f"expected keys such as model: and data: in {file}", f"found {type(content).__name__}", "see lightning configs")
    return content


def run_name(files: list[Path]) -> str:
    """The first file's name; later ones that change model or data are appended: `vae+binarized`."""
    first, *others = files
    if "class_path" not in read(first).get("model", {}):
        raise UserError(
            "expected the model's config first, overlays after it", f"got {first.stem} first", "for example --config vae --config fast"
        )
    return "+".join([first.stem, *(file.stem for file in others if {"model", "data"} & read(file).keys())])


def take_configs(arguments: list[str]) -> tuple[list[Path], list[str]]:
    """Files named by `--config X`, `--config=X`, `-c X`, and the arguments with their paths in place of names."""
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
