"""How damaged or unfit data is refused: three lines that say what was expected, what came and where, and what to do."""

from pathlib import Path


def refusal(expected: str, got: str, path: Path | str, remedy: str) -> ValueError:
    """The error to raise."""
    lines = (f"expected {expected}", f"got {got} in {path}", remedy)
    return ValueError("\n".join(" ".join(line.split()) for line in lines))
