"""Stacked MNIST: three digits as the three channels of an image, 1,000 classes. It is the public test of mode collapse.

References:
    Metz et al., Unrolled generative adversarial networks, 2017, section 3.3.1. https://arxiv.org/abs/1611.02163
    Lin et al., PacGAN, 2018, section 4.1. https://arxiv.org/abs/1712.04086
"""

import torch
from torch import Tensor

from datamodules.split import Split

SEED = 1000


def stacked(mnist: dict[str, Split]) -> dict[str, Split]:
    """As many images as MNIST has, each channel a permutation of MNIST's images; the label of digits a, b, c is 100 a + 10 b + c."""
    return {name: _stack(split, torch.Generator().manual_seed(SEED + number)) for number, (name, split) in enumerate(mnist.items())}


def _stack(digits: Split, generator: torch.Generator) -> Split:
    orders: list[Tensor] = [torch.randperm(digits.n, generator=generator) for _ in range(3)]
    assert digits.labels is not None
    a, b, c = (digits.labels[order].to(torch.int16) for order in orders)
    return Split(torch.cat([digits.images[order] for order in orders], dim=1), 100 * a + 10 * b + c)
