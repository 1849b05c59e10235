"""What a judge says of images: the form in which measures of samples take it."""

from typing import NamedTuple

from torch import Tensor


class Seen(NamedTuple):
    """Of N images: `features` (N, D), a `second` space of features (N, E), `digits` (N,) and whether they are `valid`, (N,) bool."""

    features: Tensor
    second: Tensor
    digits: Tensor
    valid: Tensor

    def of(self, rows: Tensor | slice) -> "Seen":
        """Of some of the images."""
        return Seen(*(part[rows] for part in self))
