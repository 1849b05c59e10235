"""The order of the rooms: an import leads downwards only, so that each room can be read without those above it."""

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT

from lit_models import MODELS

# From the top to the bottom. Rooms on one line may import each other.
ORDER = [
    ["benchmarks"],
    ["lit_models.command", "lit_models.__main__"],
    ["lit_models.explorer", "lit_models.study"],
    ["callbacks"],
    ["models", "lit_models.evaluation"],
    ["lit_models.nn"],
    ["lit_models.sampling", "lit_models.training", "lit_models.checkpoints"],
    ["lit_models.contracts", "lit_models.image_shape", "lit_models.losses", "datamodules"],
]
LEVELS = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
DOOR = "lit_models"  # lit_models/__init__.py: the version, the table of models, and lazy exports
FILES = sorted(file for folder in ("lit_models", "datamodules", "callbacks", "benchmarks") for file in (ROOT / folder).rglob("*.py"))
AT_THE_TOP = {path.rpartition(".")[0] for name, path in MODELS.items() if name != "classifier"}


def room_of(module: str) -> str | None:
    """The room that a module belongs to; None for other packages."""
    if module in AT_THE_TOP:
        return "models"
    fitting = [room for room in LEVELS if module == room or module.startswith(f"{room}.")]
    return max(fitting, key=len) if fitting else None


def imports_of(file: Path) -> list[str]:
    """Modules that a file imports, anywhere in it but under TYPE_CHECKING."""
    tree = ast.parse(file.read_text())
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def upward_imports(file: Path) -> list[str]:
    own = room_of(module_of(file))
    rooms = [(name, room_of(name)) for name in imports_of(file)]
    return [name for name, room in rooms if own and room and LEVELS[room] < LEVELS[own]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_import_leads_downwards(file: Path) -> None:
    assert module_of(file) == DOOR or room_of(module_of(file)), "every file has a room"
    assert upward_imports(file) == []


def test_an_import_that_leads_upwards_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    monkeypatch.setattr("test_rooms.ROOT", tmp_path)
    file = tmp_path / "lit_models" / "nn" / "wrong.py"
    file.parent.mkdir(parents=True)
    file.write_text("def f():\n    from lit_models.command.errors import UserError\n    from lit_models.losses import squared_error\n")
    assert upward_imports(file) == ["lit_models.command.errors.UserError"]


def test_only_the_command_knows_its_errors() -> None:
    knowing = [file for file in FILES if "UserError" in file.read_text()]
    assert {room_of(module_of(file)) for file in knowing} == {"lit_models.command"}


def test_the_contracts_need_torch_and_typing_alone() -> None:
    packages = {name.split(".")[0] for name in imports_of(ROOT / "lit_models" / "contracts.py")}
    assert packages == {"torch", "typing", "collections"}


def test_no_file_is_longer_than_250_lines() -> None:
    files = [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "configs").rglob("*.yaml"), ROOT / "lit_models" / "study" / "page.html"]
    files += [file for file in (ROOT / "lit_models" / "explorer").iterdir() if file.suffix in (".js", ".css", ".html")]
    assert {str(file): lines for file in files if (lines := len(file.read_text().splitlines())) > 250} == {}


RETIRED = [
    *("latent_density", "code_prior", "HasPriors", "--density", "--prior", "val/frechet", "gan_reconstruction", "SampleCodes"),
    *("lit_models.networks", "lit_models.players", "lit_models.loggers", "lit_models.metrics", "on_runs", "on_measures", "on_judges"),
]
MAY_NAME_THEM = ("older_versions.py", "test_rooms.py", "fingerprints.py", "CHANGELOG.md", "runs_0.1.0", "test_older_versions.py")


def test_no_retired_name_is_left() -> None:
    """Where checkpoints of 0.1.0 are read, and where their change is told, the old names stand."""
    folders = ("lit_models", "callbacks", "datamodules", "configs", "benchmarks", "tests", "docs")
    texts = [
        file
        for folder in folders
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".yaml", ".md", ".html", ".json", ".csv")
    ]
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in [*texts, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
        if not any(allowed in str(file) for allowed in MAY_NAME_THEM)
        for name in RETIRED
        if re.search(rf"(?<![\w-]){re.escape(name)}(?!\w)", file.read_text())
    }
    assert found == set()
