"""Priors over codes that are trained after the autoencoder, in the same run: the samplers `flow`, `shortcut` and `coupling`."""

from lit_models.nn.coupling_prior import CouplingPrior
from lit_models.nn.flow_prior import FlowPrior
from lit_models.nn.shortcut_prior import ShortcutPrior

LatentPrior = FlowPrior | CouplingPrior
PRIORS = {prior.name: prior for prior in (FlowPrior, ShortcutPrior, CouplingPrior)}


def latent_prior(sampler: str, width: int, classes: int | None) -> LatentPrior | None:
    """The prior of this name over codes of `width` numbers; None for a sampler that needs no training."""
    return PRIORS[sampler](width, classes) if sampler in PRIORS else None
