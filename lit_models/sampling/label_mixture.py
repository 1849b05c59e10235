"""A distribution over codes given a label, mixed over labels by their shares among training images."""

import torch
from torch import Generator, Tensor

from lit_models.contracts import CodeDistribution


class LabelMixture:
    r""":math:`p(k) = \sum_y p(y) \, p(k|y)`.

    Args:
        given_label: p(k|y).
        labels: Those of training images, (N,), on the CPU.
        classes: The number of labels.
    """

    def __init__(self, given_label: CodeDistribution, labels: Tensor, classes: int) -> None:
        self.given_label, self.labels, self.classes = given_label, labels, classes

    def draw_labels(self, n: int, generator: Generator | None = None) -> Tensor:
        """Labels of random training images, (n,)."""
        return self.labels[torch.randint(len(self.labels), (n,), generator=generator)]

    def log_joint(self, codes: Tensor) -> Tensor:
        r""":math:`\log p(y) + \log p(k|y)` of codes (B, ...) with every label, (classes, B), in nats."""
        shares = torch.bincount(self.labels, minlength=self.classes).to(codes.device) / len(self.labels)
        given = [torch.full((len(codes),), label, device=codes.device) for label in range(self.classes)]
        return torch.stack([share.log() + self.given_label.log_density(codes, each) for share, each in zip(shares, given, strict=True)])
