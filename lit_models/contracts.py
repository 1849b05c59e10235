"""What models can do: one Protocol per verb. `datamodules.contracts` has those of data modules.

A callback asks for the verb that it needs (`isinstance(pl_module, CanSample)`) and never for a class. Images are (B, C, H, W) in [0, 1],
labels are (B,) integers, and codes are (B, ...) in whatever shape the model gives them. `image_shape` is (C, H, W) everywhere: the data
says it, and models are made for it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Generator, Tensor

ImageShape = tuple[int, int, int]  # (C, H, W)


class Verb(type(Protocol)):  # type: ignore[misc]
    """Looks a verb up as Python itself does when it is called.

    From Python 3.12 on, `isinstance` with a Protocol ignores `__getattr__`, so that it would not see a verb that a torch module holds as a
    submodule: `self.decode = nn.Sequential(...)`.
    """

    def __instancecheck__(cls, instance: object) -> bool:
        return all(hasattr(instance, name) for name in members(cls))


def members(verb: type) -> set[str]:
    """Names of the methods and properties that a Protocol asks for."""
    return {name for base in verb.__mro__ if getattr(base, "_is_protocol", False) for name in vars(base) if not name.startswith("_")}


@runtime_checkable
class CanEncode(Protocol, metaclass=Verb):
    def encode(self, images: Tensor) -> Tensor:
        """The point (mean) code of each image."""


@runtime_checkable
class CanDecode(Protocol, metaclass=Verb):
    def decode(self, codes: Tensor) -> Tensor:
        """The image of each code; means of codes and noisy codes are admissible."""


@runtime_checkable
class CanReconstruct(Protocol, metaclass=Verb):
    def reconstruct(self, images: Tensor) -> Tensor:
        """`decode(encode(images))`."""


@runtime_checkable
class CanSample(Protocol, metaclass=Verb):
    @property
    def classes(self) -> int | None:
        """The number of labels that `sample` accepts by default; None if it accepts none."""

    def sample(
        self, n: int = 1, labels: Tensor | int | None = None, generator: Generator | None = None, *, temperature: float | None = None
    ) -> Tensor:
        """`n` draws from the model, (n, 1, 28, 28), without a graph.

        Args:
            labels: One label per sample, (n,), or one integer for all.
            generator: On the CPU; by default the samples come from torch's default generator.
            temperature: Below 1 samples vary less, and above 1 they vary more. By default it is 1, unless the model documents another.
        Raises:
            ValueError: If the model takes no labels, if the labels do not fit, or if the temperature is not finite and above 0.
        """


@runtime_checkable
class HasSamplers(CanSample, Protocol, metaclass=Verb):
    """The model can be sampled in several ways. Each way is a sampler with a name."""

    @property
    def samplers(self) -> Mapping[str, int | None]:
        """The name of each sampler, and the number of labels that it takes (None: it takes none)."""

    @property
    def default_sampler(self) -> str:
        """The sampler that `sample` uses by default."""

    def sample(
        self,
        n: int = 1,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        sampler: str | None = None,
        *,
        temperature: float | None = None,
    ) -> Tensor: ...


@runtime_checkable
class CodeDistribution(Protocol, metaclass=Verb):
    """A distribution over codes, which a sampler draws from: a fitted density, a transformer over indices, a flow."""

    @property
    def classes(self) -> int | None: ...  # the number of labels that it takes

    def draw(self, n: int, labels: Tensor | int | None = None, generator: Generator | None = None, temperature: float = 1.0) -> Tensor:
        """`n` codes, (n, ...); one per label, if labels are given.

        The temperature is finite and above 0. Below 1 codes vary less, and above 1 they vary more.
        """

    def log_density(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Log-density or, for discrete codes, log-probability of each code, (N,), in nats."""


@runtime_checkable
class HasCodeDistributions(Protocol, metaclass=Verb):
    """The distributions behind the samplers are over the codes that `encode` gives."""

    def distribution(self, sampler: str) -> CodeDistribution:
        """The distribution that this sampler draws codes from."""


@runtime_checkable
class HasTrainingCodes(Protocol, metaclass=Verb):
    """The codes and labels of 10,000 fixed training images are stored with the weights that encoded them."""

    @property
    def training_codes(self) -> Any:
        """A `lit_models.sampling.training_codes.TrainingCodes`."""


@runtime_checkable
class HasLogWeights(Protocol, metaclass=Verb):
    """The likelihood can be estimated by importance sampling."""

    def log_weights(self, images: Tensor, draws: int, generator: Generator | None = None, sampler: str | None = None) -> Tensor:
        """Log-weights of `draws` codes per image, (B, draws), in nats, with the prior of a sampler; ValueError without a likelihood."""


@runtime_checkable
class HasCodeLength(Protocol, metaclass=Verb):
    """An image can be transmitted as discrete codes and then as pixels given the codes, which bounds the likelihood."""

    def code_length(self, images: Tensor) -> Tensor:
        """Nats per image, (B,), summed over labels; ValueError where images have no likelihood."""


@runtime_checkable
class HasLogLikelihood(Protocol, metaclass=Verb):
    """The log-likelihood of an image itself can be computed, and not only a bound on it; `exact` says whether up to rounding alone."""

    @property
    def exact(self) -> bool: ...

    def log_likelihood(self, images: Tensor, generator: Generator | None = None) -> Tensor:
        """Nats per image, (B,), summed over labels; ValueError where images have no likelihood."""


@runtime_checkable
class CanClassify(Protocol, metaclass=Verb):
    """A generative model that says by Bayes' rule which class an image belongs to."""

    def classify(self, images: Tensor) -> Tensor:
        """Log-probability of each class, (B, classes)."""


@runtime_checkable
class CanComplete(Protocol, metaclass=Verb):
    def complete(self, images: Tensor, known: Tensor, generator: Generator | None = None) -> Tensor:
        """Images whose `known` pixels, (H, W) booleans, are kept, and whose others are drawn from the model."""


@runtime_checkable
class HasSteps(CanSample, Protocol, metaclass=Verb):
    """Samples are made in steps: `sample` also takes `steps`, of which more cost more time; this is their number by default."""

    @property
    def steps(self) -> int: ...


@runtime_checkable
class HasGuidance(CanSample, Protocol, metaclass=Verb):
    """`sample` also takes `guidance`: 1 is none, 0 ignores the labels, and above 1 samples show their label more clearly and vary less."""

    @property
    def guidance(self) -> float: ...


@runtime_checkable
class HasTrajectory(CanSample, Protocol, metaclass=Verb):
    def trajectory(self, n: int = 1, labels: Tensor | int | None = None, generator: Generator | None = None) -> Tensor:
        """What `sample` sees on its way from pure noise to `n` images, (n, steps + 1, C, H, W) in [0, 1]: the last are the samples."""


@runtime_checkable
class CanSampleText(Protocol, metaclass=Verb):
    """The model draws images that are described by words."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it knows."""

    def sample_text(
        self,
        texts: Sequence[str],
        generator: Generator | None = None,
        *,
        temperature: float | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """One image per text, (N, C, H, W); ValueError for a word that it does not know."""


@runtime_checkable
class StartsFromNoise(Protocol, metaclass=Verb):
    """Samples are made of standard normal noise, and the noise alone decides what an image without a label shows."""

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Of the noise of one image."""

    def from_noise(self, noise: Tensor) -> Tensor:
        """The images of noise (B, *noise_shape), without labels, (B, C, H, W)."""


@runtime_checkable
class HasPosterior(Protocol, metaclass=Verb):
    """The code of an image is a diagonal Gaussian, q(z|x)."""

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (B, D) each."""


@runtime_checkable
class HasCodebook(Protocol, metaclass=Verb):
    """A code is a grid of vectors out of a codebook."""

    def indices(self, images: Tensor) -> Tensor:
        """Codebook indices of each image, (B, H, W)."""

    def lookup(self, indices: Tensor) -> Tensor:
        """The vectors at these indices, (B, D, H, W): the codes that `encode` gives."""

    @property
    def n_codes(self) -> int: ...


@runtime_checkable
class HasAnchors(Protocol, metaclass=Verb):
    def anchors(self) -> Tensor:
        """The code where the model places each class by design, (classes, ...)."""
