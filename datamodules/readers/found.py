"""What a reader finds at a path: parts with images, which are decoded a few MB at a time, and labels as they stand there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from lit_models.contracts import ImageShape


class Pixels(Protocol):
    n: int
    shape: ImageShape  # as found

    def chunks(self) -> Iterator[Tensor]:
        """uint8 (n, C, H, W), in order. ValueError names the image or the file that is damaged."""

    def as_they_are(self) -> Tensor | None:
        """All images mapped from their file, if they lie there as uint8 (N, C, H, W)."""


@dataclass
class Part:
    images: Pixels
    labels: np.ndarray | None


@dataclass
class Found:
    """Args:
    said: What the path was taken for.
    parts: "train" and any of "val" and "test" where the data are split already; else "all".
    files: The files that were read; a change of one makes decoded images out of date.
    class_names: Where labels are numbers from 0 on already; else None.
    """

    said: str
    parts: dict[str, Part]
    files: list[Path]
    class_names: tuple[str, ...] | None = None


SPLITS = {  # names of parts that are split already
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing", "t10k"), "test"),
}
