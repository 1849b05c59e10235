"""How models whose codes are indices are sampled: a grid of indices is drawn from one of several distributions, and decoded."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from lit_models.contracts import CodeDistribution
from lit_models.sampling.code_frequencies import CodeFrequencies, UniformCodes
from lit_models.sampling.label_mixture import LabelMixture
from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature


class IndexSampling:
    """The verbs of sampling for models whose codes are indices.

    A model that uses it has `indices`, `lookup`, `decoder`, `n_codes`, `grid`, `training_codes`, `sampler`, `label_count` (the number of
    labels, or None), `prior_begun`, and `prior`: a distribution over indices that the run trains in its second phase. A model with a masked
    prior also has `steps`.
    """

    prior: Any

    @property
    def samplers(self: Any) -> Mapping[str, int | None]:
        """The transformer can be sampled once its training has begun."""
        return ({self.prior.name: self.label_count} if self.prior_begun else {}) | {"frequencies": self.label_count, "uniform": None}

    @property
    def default_sampler(self: Any) -> str:
        return self.sampler if self.sampler in self.samplers else "frequencies"

    @property
    def classes(self: Any) -> int | None:
        return self.samplers[self.default_sampler]

    @torch.no_grad()
    def sample(
        self: Any,
        n: int = 1,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        sampler: str | None = None,
        *,
        temperature: float | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """Decodes indices from `sampler`, at temperature 1 by default. Without labels a prior gets those of random training images.

        Args:
            steps: Of the sampler `masked`, `self.steps` by default. More steps take more time, and their codes fit together better.
        Raises:
            ValueError: For steps of a sampler that has none, and for a sampler, labels or a temperature that do not fit.
        """
        sampler = self._available(sampler or self.default_sampler)
        if steps is not None and sampler != "masked":
            raise ValueError(f"steps expected the sampler masked, got {sampler}: leave steps out, or train with --model.sampler masked")
        labels = labels_for(n, labels, self.samplers[sampler])
        if labels is None and sampler == self.prior.name:
            labels = self.label_mixture().draw_labels(n, generator)
        options = {"steps": self.steps if steps is None else steps} if sampler == "masked" else {}
        return self._decode_indices(self._indices_of(sampler).draw(n, labels, generator, checked_temperature(temperature), **options))

    @torch.no_grad()
    def redraw(self: Any, images: Tensor, cells: Tensor, labels: Tensor | int | None = None, generator: Generator | None = None) -> Tensor:
        """Images whose codes at some cells of the grid are drawn anew given the other codes: in-painting, which needs the masked prior.

        Args:
            images: (B, C, H, W).
            cells: Booleans, (grid, grid): True stands for a code that is drawn anew.
            labels: By default the most probable label of each image, given all of its codes.
            generator: On the CPU.
        Raises:
            ValueError: If the prior is not the masked one or has not been trained, or if cells or labels do not fit.
        """
        self._available("masked")
        if cells.shape != (self.grid, self.grid) or cells.dtype != torch.bool:
            expected, got = f"booleans of shape {(self.grid, self.grid)}", f"{cells.dtype} of shape {tuple(cells.shape)}"
            raise ValueError(f"redraw expected {expected}, got {got}: True stands for a code that is drawn anew")
        codes, asked = self.indices(images).flatten(1), labels_for(len(images), labels, self.label_count)
        if asked is None:
            asked = self.label_mixture().log_joint(codes).argmax(dim=0)
        return self._decode_indices(self.prior.fill(codes, cells.flatten(), asked, generator, steps=self.steps))

    def label_mixture(self: Any) -> LabelMixture:
        """The prior with its labels summed out; all labels are 0 if it is not conditional."""
        return LabelMixture(self.prior, self.training_codes.get()[1] * (self.label_count is not None), self.prior.classes)

    def _available(self: Any, sampler: str) -> str:
        if sampler not in self.samplers:
            raise ValueError(f"sampler must be one of {', '.join(self.samplers)} at this stage of training, got {sampler!r}")
        return sampler

    def _indices_of(self: Any, sampler: str) -> CodeDistribution:
        if sampler == self.prior.name:
            return self.prior
        if sampler == "uniform":
            return UniformCodes(self.n_codes, self.grid**2)
        codes, labels = self.training_codes.get()
        return CodeFrequencies(codes.flatten(1), labels, self.label_count)

    def _decode_indices(self: Any, indices: Tensor) -> Tensor:
        return self.decoder(self.lookup(indices.view(-1, self.grid, self.grid).to(self.device))).sigmoid()
