"""What the pages of docs/ and the README say, and where it comes from."""

import json
import re
from pathlib import Path
from typing import Any

from conftest import ROOT

DOCS = ROOT / "docs"
README, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
PAGES = [README, CHINESE, ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
YARDSTICK = DOCS / "yardstick"
HEADLINES = ("coverage", "kid", "kid_second", "kid_untrained", "cas", "recognisable", "nearer_to_training", "control")


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def block(page: Path, language: str, number: int = 0) -> str:
    """The code of a block of a page."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)[number]


def cell(key: str, values: dict[str, float]) -> str:
    """A number of a table; the interval of a kernel distance is 1.96 standard errors wide on each side."""
    error = f" ± {1.96 * values[key.replace('kid', 'kid_error', 1)]:.1f}" if key.startswith("kid") else ""
    digits = 1 if key.startswith("kid") else 2 if key == "nearer_to_training" else 3
    return f"{values[key]:.{digits}f}{error}"


def row_of(name: str, values: dict[str, float], labelled: bool) -> str:
    """A row of a table of systems."""
    cells = [cell(key, values) for key in HEADLINES if labelled or key not in ("cas", "control")]
    return f"| {name} | {' | '.join(cells)} |"
