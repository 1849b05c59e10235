"""What data modules can do: one Protocol per verb, as `lit_models.contracts` has them of models."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from lit_models.contracts import ImageShape, Verb


@runtime_checkable
class DescribesImages(Protocol, metaclass=Verb):
    """A data module that says what its images are, before and after `setup`."""

    @property
    def image_shape(self) -> ImageShape:
        """(C, H, W) of the images in its batches."""

    @property
    def classes(self) -> int | None:
        """The number of classes; None if the images have no labels."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class; empty if the images have no labels."""


@runtime_checkable
class HasImages(Protocol, metaclass=Verb):
    """A data module that hands out a whole split."""

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """All images and labels of "train", "val" or "test"."""


@runtime_checkable
class HasReferenceImages(Protocol, metaclass=Verb):
    """A data module that hands out fixed images."""

    def reference_images(self, split: str, n: int) -> tuple[Tensor, Tensor]:
        """The same `n` images and labels of "train" or "val" at every call, or all if there are fewer."""


@runtime_checkable
class HasWholeData(Protocol, metaclass=Verb):
    """A data module that can be limited or binarised, and knows the data set that it was made from."""

    def whole(self) -> HasImages:
        """The data set itself, ready to hand out images: not limited, not binarised, split by seed 0. Judges and measures use it."""
