"""How models whose codes are vectors are sampled: codes are drawn from one of several distributions, and decoded."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor

from lit_models.contracts import CodeDistribution
from lit_models.sampling.densities import DensityName, densities
from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature

TrainedPrior = Literal["flow", "shortcut", "coupling"]
SamplerName = Literal[DensityName, TrainedPrior]


def samplers_for(sampler: SamplerName, classes: int | None) -> dict[str, int | None]:
    """The samplers of a model made with `sampler`, and the number of labels that each takes: all densities, and a prior that it trains.

    Raises:
        ValueError: If there is no sampler of this name for images with this number of classes.
    """
    trained = {sampler: classes} if sampler in get_args(TrainedPrior) else {}
    known = densities(classes) | trained
    if sampler not in known:
        labels = "" if classes else " for images without labels"
        raise ValueError(f"sampler must be one of {', '.join([*densities(classes), *get_args(TrainedPrior)])}{labels}, got {sampler!r}")
    return known


class LatentSampling:
    """The verbs of sampling for models with vector codes.

    A model that uses it has `decode`, `latent_dim`, `training_codes`, `samplers`, `default_sampler`, and `prior`: a distribution over codes
    that the run trains in its second phase, or None.
    """

    samplers: Mapping[str, int | None]
    default_sampler: str
    prior: Any

    @property
    def classes(self: Any) -> int | None:
        return self.samplers[self.default_sampler]

    @property
    def steps(self) -> int:
        """Steps of the prior by default, if it has any."""
        return self.prior.steps

    @property
    def guidance(self) -> float:
        """Guidance of the prior by default, if it has any; a prior without labels has none."""
        if self.prior.classes is None:
            raise AttributeError("a prior without labels has no guidance")
        return self.prior.guidance

    def distribution(self: Any, sampler: SamplerName) -> CodeDistribution:
        if self.prior is not None and sampler == self.prior.name:
            return self.prior
        return self.training_codes.density(sampler, self.latent_dim, self.hparams["classes"])

    @torch.no_grad()
    def sample(
        self: Any,
        n: int = 1,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        sampler: SamplerName | None = None,
        *,
        temperature: float | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """Decodes codes drawn from `sampler`, by default the one that the model was made with, at temperature 1 by default.

        Args:
            steps, guidance: Of the sampler `flow`, by default 16 and 1. Without labels it gets those of random training images.
        Raises:
            ValueError: For steps or guidance of a sampler that has none.
        """
        sampler = sampler or self.default_sampler
        distribution = self.distribution(sampler)
        given = {name: value for name, value in (("steps", steps), ("guidance", guidance)) if value is not None}
        for name in given:
            if not hasattr(distribution, name):
                raise ValueError(f"sampler {sampler} expected no {name}: leave it out, or train a flow with --model.sampler flow")
        asked = labels_for(n, labels, distribution.classes)
        if asked is None and distribution is self.prior and distribution.classes is not None:
            asked = torch.multinomial(distribution.scale.shares.cpu(), n, replacement=True, generator=generator)
        codes = distribution.draw(n, asked, generator, checked_temperature(temperature), **given)
        return self.decode(codes.to(self.device, self.dtype))
