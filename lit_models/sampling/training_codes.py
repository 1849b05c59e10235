"""Codes and labels of fixed training images, kept beside the weights that encoded them.

Class centroids and latent densities are fitted from them on demand, so that a checkpoint alone can draw them.
The callback `callbacks.KeepTrainingCodes` fills them in.
"""

from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Generator, Tensor, nn

from lit_models.sampling.densities import DensityName, LatentDensity, fit_density, standard_normal


class TrainingCodes(nn.Module):
    """State in the checkpoint, but no buffer: DDP would broadcast 10,000 codes at every step.

    `codes` holds codebook indices (N, H, W) for a model with a codebook, else the codes themselves; `labels` is (N,).
    """

    def __init__(self) -> None:
        super().__init__()
        self.codes: Tensor | None = None
        self.labels: Tensor | None = None
        self.densities: dict[str, LatentDensity] = {}

    def __len__(self) -> int:
        return 0 if self.labels is None else len(self.labels)

    def keep(self, codes: Tensor, labels: Tensor) -> None:
        """Store on the CPU; small integers in as few bytes as hold them."""
        if not codes.is_floating_point():
            codes = codes.to(torch.uint8 if codes.max() < 256 else torch.int16)
        self.codes, self.labels = codes.detach().cpu(), labels.to("cpu", torch.uint8)
        self.densities.clear()

    def get(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Codes and labels; RuntimeError before any were kept."""
        if self.codes is None or self.labels is None:
            raise RuntimeError(
                "no codes of training images are stored in this model: train it with callbacks.KeepTrainingCodes (configs/base.yaml has it)"
            )
        codes = self.codes if self.codes.is_floating_point() else self.codes.long()
        return codes.to(device), self.labels.long().to(device)

    def get_extra_state(self) -> dict[str, Any]:
        return {} if self.codes is None else {"codes": self.codes, "labels": self.labels}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.codes, self.labels = state.get("codes"), state.get("labels")
        self.densities.clear()

    def density(self, name: DensityName, width: int) -> LatentDensity:
        """A latent density over codes of `width` numbers, fitted when it is first asked for and never stored."""
        if name not in self.densities:
            self.densities[name] = standard_normal(width) if name == "normal" else fit_density(name, *self.get())
        return self.densities[name]


class SampleCodes:
    """The verb `sample` of a model with `decode`, `latent_dim` and `training_codes`, whose `latent_density` it draws from unasked."""

    latent_dim: int
    latent_density: DensityName
    training_codes: TrainingCodes

    @property
    def priors(self) -> Mapping[str, int | None]:
        """The latent densities, and the labels that each takes; the model's own first."""
        known = {name: 10 if name.startswith("class_") else None for name in get_args(DensityName)}
        return {self.latent_density: known[self.latent_density]} | known

    @property
    def classes(self) -> int | None:
        return self.priors[self.latent_density]

    def sample(self: Any, n: int, labels: Tensor | None = None, generator: Generator | None = None, prior: str | None = None) -> Tensor:
        """Decodes draws from a latent density, `prior` or the model's own."""
        density = self.training_codes.density(prior or self.latent_density, self.latent_dim)
        return self.decode(density.draw(n, labels, generator).to(self.device, self.dtype))


def class_means(codes: Tensor, labels: Tensor, classes: int = 10) -> Tensor:
    """Mean code of each class, (N, ...) and (N,) to (classes, ...); NaN for a class that does not occur."""
    return torch.stack([codes[labels == digit].mean(dim=0) for digit in range(classes)])


def class_spreads(codes: Tensor, labels: Tensor, classes: int = 10) -> Tensor:
    """Standard deviation of each class's codes about its mean, per element of the code, (classes, ...)."""
    return torch.stack([codes[labels == digit].std(dim=0) for digit in range(classes)])
