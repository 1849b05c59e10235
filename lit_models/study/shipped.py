"""The measures of the study that the project ships: a study that adds a system begins with them, and trains that system alone."""

import shutil
from pathlib import Path

from lit_models.training.configs import SHIPPED

RESULTS = SHIPPED.parent / "docs" / "study"
PARTS = ("measures", "pictures", "speed", "tuning")  # and the controls


def begin_with_shipped(study: Path) -> None:
    """Copy the measures that the project ships into a study that has none of its own. They are checked where they are read.

    Raises:
        ValueError: If the project is installed without them.
    """
    if (study / "measures").is_dir():
        return
    if not (RESULTS / "measures").is_dir():
        raise ValueError(
            f"expected the measures of the shipped study in {RESULTS}\ngot none\nget the whole repository: a package has no docs"
        )
    for part in PARTS:
        if (RESULTS / part).is_dir():
            shutil.copytree(RESULTS / part, study / part, dirs_exist_ok=True)
    shutil.copy2(RESULTS / "controls.json", study / "controls.json")
