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


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def block(page: Path, language: str, number: int = 0) -> str:
    """The code of a block of a page."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)[number]
