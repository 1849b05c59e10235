"""The classes that `lightning sample` asks for: by name or number, or all in turn."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from lit_models.command.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = ROWS = 8  # of a grid


class Asked(NamedTuple):
    """The labels of samples, and the grid that shows them."""

    labels: Tensor
    columns: int
    rows: list[str]
    heads: list[str]
    what: str  # for the caption


def label_of(word: str, names: Sequence[str], dataset: str) -> int:
    """The class that a word means: a name, whatever the case of its letters, or else a number.

    Raises:
        UserError: If it is neither.
    """
    if word in names:
        return names.index(word)
    alike = [label for label, name in enumerate(names) if name.lower() == word.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    numbers = f"a class from 0 to {len(names) - 1}"
    if word.removeprefix("-").isdigit():
        if not 0 <= int(word) < len(names):
            raise UserError(f"--label expected {numbers}", f"got {word}")
        return int(word)
    if all(name.isdigit() for name in names):
        raise UserError(f"--label expected {numbers}", f"got {word!r}")
    some = ", ".join(names[:10]) + (f" and {len(names) - 10} others" if len(names) > 10 else "")
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    remedy = f"did you mean {lower[close[0]]}?" if close else f"a number from 0 to {len(names) - 1} means a class too"
    raise UserError(f"--label expected a class of {dataset}: {some}", f"got {word!r}", remedy)


def asked_classes(label: str | None, n: int | None, names: Sequence[str], dataset: str, as_grid: bool) -> Asked:
    """The labels of `n` samples; by default there are 64, or eight whole rows of a grid whose columns are classes.

    One class, if it is named. Otherwise all classes in turn: each column of the grid is a class, where eight columns hold them all or where
    at most ten classes have names. A grid of more than ten classes has one row per class, of as many classes as it has rows, at equal
    distances.
    """
    import torch

    from callbacks.figures.classes import MOST, heads_of

    classes, columns = len(names), COLUMNS
    by_column = label is None and as_grid and (classes <= COLUMNS or (classes <= MOST and heads_of(names)))
    if by_column:
        columns = classes * max(1, COLUMNS // classes)
    n = n or ROWS * columns
    columns = min(columns, n)
    if label is not None:
        number = label_of(label, names, dataset)
        return Asked(torch.full((n,), number), columns, [], [], f", class {names[number]}")
    in_turn = torch.arange(n) % classes
    if classes <= MOST:
        return Asked(in_turn, columns, [], [names[column % classes] for column in range(columns)] if by_column else [], "")
    if not as_grid:
        return Asked(in_turn if n >= classes else torch.arange(n) * classes // n, columns, [], [], "")
    count = -(-n // COLUMNS)
    shown = [row * classes // count if count <= classes else row % classes for row in range(count)]
    some = f", {count} of {classes} classes" if count < classes else ""
    labels = torch.tensor(shown).repeat_interleave(COLUMNS)[:n]
    return Asked(labels, columns, [names[each] for each in shown], [], f", row = class{some}")
