"""The scale of codes, and how often each class occurs: what a prior over codes needs to know before it is trained."""

import torch
from torch import Tensor, nn


class CodeScale(nn.Module):
    """Codes (B, D) in units in which each number has mean 0 and standard deviation 1 over training images.

    `shares` are the shares of the classes among training images, (classes,), and one share for images without labels.
    """

    def __init__(self, width: int, classes: int | None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("shares", torch.full((classes or 1,), 1 / (classes or 1)))

    def fit(self, codes: Tensor, labels: Tensor | None) -> None:
        """Fit to codes (N, D) and labels (N,). A number that hardly varies keeps a spread of a thousandth of the largest."""
        spread = codes.std(dim=0, correction=0)
        self.mean.copy_(codes.mean(dim=0))
        self.spread.copy_(spread.clamp_min(1e-3 * float(spread.max()) + 1e-12))
        if labels is not None and len(self.shares) > 1:
            self.shares.copy_(torch.bincount(labels, minlength=len(self.shares)) / len(labels))

    def standardise(self, codes: Tensor) -> Tensor:
        return (codes - self.mean) / self.spread

    def restore(self, standardised: Tensor) -> Tensor:
        return self.mean + self.spread * standardised

    def log_volume(self) -> Tensor:
        """The logarithm by which the density of codes is below that of standardised codes."""
        return self.spread.log().sum()
