"""The classes that a figure shows, and their names: a picture has room for ten."""

from collections.abc import Sequence

MOST = 10


def shown_classes(classes: int, most: int = MOST) -> list[int]:
    """All classes, or the first `most` of them."""
    return list(range(min(classes, most)))


def note(shown: Sequence[int], classes: int) -> str:
    """The end of a caption: how many of the classes are shown; nothing if all are."""
    return "" if len(shown) >= classes else f", first {len(shown)} of {classes} classes"


def heads_of(names: Sequence[str]) -> list[str]:
    """Names above columns where they say more than the images: numbers are left out."""
    return [] if all(name.isdigit() for name in names) else list(names)
