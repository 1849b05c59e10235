"""`lightning configs`: the name and the first sentence of each shipped config, of models, overlays and studies."""

import re
from itertools import takewhile
from pathlib import Path

from lit_models.training import configs


def run(command: str, arguments: list[str]) -> int:
    shipped = configs.shipped()
    parts = {
        "models, for lightning fit --config NAME": {name: file for name, file in shipped.items() if "/" not in name},
        "overlays, as a second --config": {name.removeprefix("overlays/"): file for name, file in shipped.items() if "/" in name},
        "studies, for lightning study --config NAME": configs.studies(),
    }
    lists = ["\n".join([title, *(f"  {name:18} {first_sentence(file)}" for name, file in files.items())]) for title, files in parts.items()]
    print("\n\n".join(lists))
    return 0


def first_sentence(file: Path) -> str:
    """That of the comment with which a config begins."""
    comment = takewhile(lambda line: line.startswith("#"), file.read_text().splitlines())
    return re.split(r"(?<=\.) ", " ".join(line.lstrip("# ") for line in comment), maxsplit=1)[0]
