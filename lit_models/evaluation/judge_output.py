"""What a judge says of images."""

from typing import NamedTuple

from torch import Tensor


class JudgeOutput(NamedTuple):
    """Answers for N images; slices and masks select rows by `rows`."""

    classes: Tensor  # (N,), the class that the first classifier sees
    recognisable: Tensor  # (N,), bool

    def rows(self, chosen: slice | Tensor) -> "JudgeOutput":
        return JudgeOutput(*(part[chosen] for part in self))
