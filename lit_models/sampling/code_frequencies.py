"""Simple distributions over grids of codebook indices, next to the learned prior."""

import torch
from torch import Generator, Tensor

from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature, tempered


class UniformCodes:
    """Every index is equally likely at every position: a `lit_models.contracts.CodeDistribution`."""

    classes = None

    def __init__(self, n_codes: int, length: int) -> None:
        self.n_codes, self.length = n_codes, length

    def draw(self, n: int, labels: Tensor | int | None = None, generator: Generator | None = None, temperature: float = 1.0) -> Tensor:
        """Indices, (n, length), the same at every temperature."""
        labels_for(n, labels, self.classes)
        checked_temperature(temperature)
        return torch.randint(self.n_codes, (n, self.length), generator=generator)

    def log_density(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        return torch.full((len(codes),), -self.length * float(torch.tensor(self.n_codes).log()))


class CodeFrequencies:
    """Each position is independent of the others, and has the indices that training images have there.

    Args:
        codes: Indices of training images, (N, length).
        labels: Their labels, (N,).
        classes: The number of labels; None for images without labels.
    """

    def __init__(self, codes: Tensor, labels: Tensor, classes: int | None = 10) -> None:
        self.codes, self.labels, self.classes = codes, labels, classes

    def draw(self, n: int, labels: Tensor | int | None = None, generator: Generator | None = None, temperature: float = 1.0) -> Tensor:
        r"""Indices, (n, length); with labels they come from training images of these classes.

        At temperature T, frequencies p become :math:`p_k^{1/T} / \sum_j p_j^{1/T}`.
        """
        labels, length = labels_for(n, labels, self.classes), self.codes.shape[1]
        if checked_temperature(temperature) != 1:
            return self._draw_tempered(n, labels, generator, temperature)
        rows = []
        for label in [None] * n if labels is None else labels.tolist():
            pool = self._pool(label)
            chosen = torch.randint(len(pool), (length,), generator=generator)
            rows.append(pool[chosen, torch.arange(length)])
        return torch.stack(rows)

    def _draw_tempered(self, n: int, labels: Tensor | None, generator: Generator | None, temperature: float) -> Tensor:
        asked = torch.full((n,), -1) if labels is None else labels
        drawn = torch.empty(n, self.codes.shape[1], dtype=self.codes.dtype)
        for label in asked.unique().tolist():  # the codes of a class are counted once
            own = asked == label
            probabilities = tempered(self._counts(None if label < 0 else label).double().log(), temperature)
            drawn[own] = torch.multinomial(probabilities, int(own.sum()), replacement=True, generator=generator).T.to(drawn.dtype)
        return drawn

    def _counts(self, label: int | None) -> Tensor:
        """How often each index occurs at each position, (length, K)."""
        pool, length, known = self._pool(label), self.codes.shape[1], int(self.codes.max()) + 1
        return torch.bincount((pool + known * torch.arange(length)).flatten(), minlength=known * length).view(length, known)

    def log_density(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Nats of indices (M, length), (M,); minus infinity for an index that no training image has at its position."""
        found = []
        for number, row in enumerate(codes.cpu()):
            pool = self._pool(None if labels is None else int(labels[number]))
            found.append((pool == row).double().mean(dim=0).log().sum())
        return torch.stack(found)

    def _pool(self, label: int | None) -> Tensor:
        pool = self.codes if label is None else self.codes[self.labels == label]
        if len(pool) == 0:
            raise ValueError(f"no training image of class {label} has a code: ask for another class")
        return pool
