"""A .csv file with the pixels of an image in each row, with or without a header and a column of labels, as Kaggle's digit files."""

import gzip
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from torch import Tensor

from datamodules.readers.arrays import to_bytes
from datamodules.readers.found import Found, Part
from datamodules.refusal import refusal

LABEL_NAMES = ("label", "labels", "class", "target", "y", "digit", "character")
ROWS = 1000  # rows that are parsed in one go
FORM = "rows of the H x H pixels of an image, with a label first or last or without"


class CsvPixels:
    def __init__(self, path: Path, header: bool, side: int, label: int | None, n: int, unit: bool) -> None:
        self.path, self.header, self.label, self.n, self.unit = path, header, label, n, unit
        self.shape = (1, side, side)

    def as_they_are(self) -> Tensor | None:
        return None

    def chunks(self) -> Iterator[Tensor]:
        for number, rows in enumerate(blocks(self.path, self.header)):
            cells = [split_row(row, self.label)[0] for row in rows]
            pixels = parse(cells, self.path, number * ROWS, self.shape[1] ** 2)
            if not self.unit:
                if (pixels != pixels.round()).any():
                    raise refusal(
                        "whole numbers from 0 to 255, or floats in [0, 1] alone",
                        f"{pixels[pixels != pixels.round()][0]:g}",
                        self.path,
                        "scale them",
                    )
                pixels = pixels.clip(-1, 256).astype(np.int64)
            yield torch.from_numpy(to_bytes(pixels, self.path).reshape(-1, *self.shape))


def read(path: Path, size: int | None) -> Found:
    first, *some = itertools.chain(itertools.islice(_lines(path), ROWS), [""])
    columns = first.split(",")
    words = [number for number, cell in enumerate(columns) if not _is_number(cell)]
    header = len(words) > 1
    some = [row for row in ([] if header else [first]) + some if row]
    if not some:
        raise refusal(FORM, "no row", path, "name a file with images")
    side, label = math.isqrt(len(columns)), None
    if side * side != len(columns):
        side = math.isqrt(len(columns) - 1)
        if side * side != len(columns) - 1 or side == 0:
            raise refusal(f"{FORM}: H x H or H x H + 1 columns", f"{len(columns)} columns", path, "drop the other columns")
        label = _label_column(columns if header else [], some, words if not header else [])
    n, labels = 0, []
    for rows in blocks(path, header):
        n += len(rows)
        labels += [split_row(row, label)[1] for row in rows] if label is not None else []
    start = parse([split_row(row, label)[0] for row in some], path, 0, side * side)
    where = "" if label is None else f" with labels in the {'first' if label == 0 else 'last'} column"
    pixels = CsvPixels(path, header, side, label, n, unit=bool(start.max() <= 1))
    return Found(f"a table (.csv){where}", {"all": Part(pixels, np.array(labels) if labels else None)}, [path])


def _label_column(names: list[str], some: list[str], words: list[int]) -> int:
    """0 or -1: by its name or its words; else the first column, unless the last alone looks like labels."""
    last = 1 if not names else len(names) - 1
    known = [number for number, name in enumerate(names) if name.strip().strip('"').lower() in LABEL_NAMES]
    if known and known[0] in (0, last):
        return 0 if known[0] == 0 else -1
    if words:
        return 0 if words[0] == 0 else -1
    first, last_one = ({row.split(",", 1)[0] for row in some}, {row.rsplit(",", 1)[1] for row in some})
    return -1 if not _like_labels(first) and (_like_labels(last_one) or len(first) == 1 < len(last_one)) else 0


def _like_labels(cells: set[str]) -> bool:
    """Whether the values of a column are words, or whole numbers without a gap and not all equal."""
    if not all(map(_is_number, cells)):
        return True
    numbers = {float(cell.strip().strip('"')) for cell in cells}
    return len(numbers) > 1 and numbers == {min(numbers) + step for step in range(len(numbers))}


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def _lines(path: Path) -> Iterator[str]:
    try:
        with _open(path) as stream:
            for line in stream:
                if line := line.strip():
                    yield line
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise refusal(FORM, f"{error}", path, "save it as text in UTF-8") from error


def _open(path: Path) -> TextIO:
    return gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig")  # type: ignore[return-value]


def blocks(path: Path, header: bool) -> Iterator[list[str]]:
    rows = itertools.islice(_lines(path), int(header), None)
    while block := list(itertools.islice(rows, ROWS)):
        yield block


def split_row(row: str, label: int | None) -> tuple[str, str]:
    """The pixels and the label of a row."""
    if label is None:
        return row, ""
    one, _, other = row.partition(",") if label == 0 else row.rpartition(",")
    return (other, one.strip().strip('"')) if label == 0 else (one, other.strip().strip('"'))


def parse(rows: list[str], path: Path, start: int, columns: int) -> np.ndarray:
    try:
        found = np.loadtxt(rows, delimiter=",", dtype=np.float64, ndmin=2, comments=None)
        if found.shape[1] != columns:
            raise ValueError(f"{found.shape[1]} pixels per row")
    except ValueError as error:
        raise refusal(f"{columns} numbers in each row", f"{error} (rows counted from {start})", path, "repair or drop the row") from error
    return found
