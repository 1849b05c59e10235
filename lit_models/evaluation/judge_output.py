"""What a judge says of images."""

from typing import NamedTuple

from torch import Tensor


class JudgeOutput(NamedTuple):
    """For N images: `features` (N, D), a second space of features `second` (N, E), the class that the judge sees in each image, `classes`
    (N,), and whether it is `recognisable` as one of the classes, (N,) bool."""

    features: Tensor
    second: Tensor
    classes: Tensor
    recognisable: Tensor

    def rows(self, rows: Tensor | slice) -> "JudgeOutput":
        """Select rows."""
        return JudgeOutput(*(part[rows] for part in self))
