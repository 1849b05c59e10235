"""Trained weights in the package: `load("pretrained/vqvae")`, `lightning sample vqvae --pretrained`.

The files are checkpoints that hold what sampling and measuring need, in half precision. `python -m benchmarks.pretrained` makes them.
"""

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "pretrained"
WORD = "pretrained"


def names() -> list[str]:
    """The names of the trained weights in the package."""
    return sorted(file.stem for file in FOLDER.glob("*.ckpt"))


def shipped(given: Path) -> Path | None:
    """The file that `pretrained/NAME` means; None for another path, or where a file or folder of the user's has this path.

    Raises:
        FileNotFoundError: If there are no weights of this name.
    """
    if len(given.parts) != 2 or given.parts[0] != WORD or given.exists():
        return None
    file = FOLDER / f"{given.name}.ckpt"
    if not file.is_file():
        raise FileNotFoundError(f"expected pretrained/NAME with one of {', '.join(names())}\ngot {str(given)!r}")
    return file
