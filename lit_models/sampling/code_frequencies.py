"""Simple distributions over grids of codebook indices, next to the learned prior."""

import torch
from torch import Generator, Tensor

from lit_models.sampling.labels import labels_for


class UniformCodes:
    """Every index is equally likely at every position: a `lit_models.contracts.CodeDistribution`."""

    classes = None

    def __init__(self, n_codes: int, length: int) -> None:
        self.n_codes, self.length = n_codes, length

    def draw(self, n: int, labels: Tensor | int | None = None, generator: Generator | None = None) -> Tensor:
        """Indices, (n, length)."""
        labels_for(n, labels, self.classes)
        return torch.randint(self.n_codes, (n, self.length), generator=generator)

    def log_density(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        return torch.full((len(codes),), -self.length * float(torch.tensor(self.n_codes).log()))


class CodeFrequencies:
    """Each position is independent of the others, and has the indices that training images have there.

    Args:
        codes: Indices of training images, (N, length).
        labels: Their labels, (N,).
    """

    classes = 10

    def __init__(self, codes: Tensor, labels: Tensor) -> None:
        self.codes, self.labels = codes, labels

    def draw(self, n: int, labels: Tensor | int | None = None, generator: Generator | None = None) -> Tensor:
        """Indices, (n, length); with labels they come from training images of these classes."""
        labels, length = labels_for(n, labels, self.classes), self.codes.shape[1]
        rows = []
        for label in [None] * n if labels is None else labels.tolist():
            pool = self._pool(label)
            chosen = torch.randint(len(pool), (length,), generator=generator)
            rows.append(pool[chosen, torch.arange(length)])
        return torch.stack(rows)

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
