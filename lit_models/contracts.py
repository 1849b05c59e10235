"""What models and data modules can do, one Protocol a verb.

A callback asks for the verb that it needs (`isinstance(pl_module, CanSample)`) and never for a class. Images are
(B, 1, 28, 28) in [0, 1], labels (B,) integers, codes (B, ...) in whatever shape the model gives them.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Generator, Tensor

from lit_models.sampling.training_codes import TrainingCodes


@runtime_checkable
class CanEncode(Protocol):
    def encode(self, images: Tensor) -> Tensor:
        """The point (mean) code of each image."""


@runtime_checkable
class CanDecode(Protocol):
    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes; means of codes and noisy codes are admissible."""


@runtime_checkable
class CanReconstruct(Protocol):
    def reconstruct(self, images: Tensor) -> Tensor:
        """`decode(encode(images))`."""


@runtime_checkable
class CanSample(Protocol):
    @property
    def classes(self) -> int | None:
        """How many labels `sample` accepts as the model stands; None if it takes none."""

    def sample(self, n: int, labels: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """`n` draws from the model; ValueError if it takes no labels or they do not fit."""


@runtime_checkable
class HasLogWeights(Protocol):
    """Its likelihood can be estimated by importance sampling."""

    def log_weights(self, images: Tensor, draws: int, generator: Generator | None = None) -> Tensor:
        """Log-weights of so many draws for each image, (B, draws), in nats; ValueError where images have no likelihood."""


@runtime_checkable
class HasCodeLength(Protocol):
    """Its discrete codes and then the image given them can be written down: a bound on the likelihood."""

    def code_length(self, images: Tensor) -> Tensor:
        """Nats of each image, (B,), labels summed out; ValueError where images have no likelihood."""


@runtime_checkable
class HasPosterior(Protocol):
    """Its code of an image is a diagonal Gaussian, q(z|x)."""

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (B, D) each."""


@runtime_checkable
class HasPriors(Protocol):
    """Several ways to draw codes, by name, each with the number of labels that it takes; the first is what `sample` does unasked."""

    @property
    def priors(self) -> Mapping[str, int | None]: ...

    def sample(self, n: int, labels: Tensor | None = None, generator: Generator | None = None, prior: str | None = None) -> Tensor: ...


@runtime_checkable
class HasCodebook(Protocol):
    """Codes are vectors of a codebook, one a position."""

    def indices(self, images: Tensor) -> Tensor:
        """Codebook entries of each image, (B, H, W)."""

    def lookup(self, indices: Tensor) -> Tensor:
        """Their vectors, (B, D, H, W): the codes that `encode` gives."""

    @property
    def n_codes(self) -> int: ...


class _SeesTrainingCodes(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(getattr(instance, "training_codes", None), TrainingCodes)


class HasTrainingCodes(metaclass=_SeesTrainingCodes):
    """Codes and labels of 10,000 fixed training images travel with the weights that encoded them.

    No Protocol: from Python 3.12 on they do not see what a torch module holds as a module.
    """

    training_codes: TrainingCodes


@runtime_checkable
class HasAnchors(Protocol):
    def anchors(self) -> Tensor:
        """The code where each class lives by design, (classes, ...)."""


@runtime_checkable
class HasImages(Protocol):
    """A data module that hands out a whole split."""

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """All images and labels of "train", "val" or "test"."""


@runtime_checkable
class HasReferenceImages(Protocol):
    """A data module that hands out fixed images."""

    dataset: str

    def reference_images(self, split: str, n: int) -> tuple[Tensor, Tensor]:
        """The same `n` images and labels of "train" or "val" at every call, or all if there are fewer."""
