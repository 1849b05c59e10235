"""Errors for the person at the terminal: what was expected, what came, what to do."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """At most three lines, exit code 2, no traceback."""

    def __init__(self, expected: str, found: str, remedy: str = "") -> None:
        super().__init__("\n".join(f"lightning: {' '.join(line.split())}" for line in (expected, found, remedy) if line))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """'did you mean x?' or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else ""
