r"""Whether a model has learnt its training images by heart: are samples nearer to these than to images that it has not seen?

With N training images and M held-out images of the same distribution, a new image has its nearest neighbour among the training images
with probability :math:`N / (N + M)`. With s the share of samples whose nearest neighbour, over pixels, is a training image, the measure is

.. math:: \text{nearer to training} = \frac{s / N}{s / N + (1 - s) / M},

0.5 in expectation for new images, whatever N and M are, and 1 for copies of training images.
"""

import torch
from torch import Tensor

DISTANCES = 10_000_000  # distances that are held at once


def nearest(images: Tensor, others: Tensor) -> Tensor:
    """Euclidean distance over pixels of each image (N, C, H, W) to the nearest of `others`, (N,)."""
    flat = others.flatten(1)
    halves = 0.5 * flat.square().sum(dim=1)
    found = []
    for part in images.flatten(1).split(max(1, DISTANCES // len(flat))):
        lowest = torch.addmm(halves, part, flat.T, alpha=-1).amin(dim=1)  # half of |a - b|^2, but for |a|^2
        found.append((2 * lowest + part.square().sum(dim=1)).clamp_min(0).sqrt())
    return torch.cat(found)


def nearer_to_training(to_training: Tensor, to_held_out: Tensor, n_training: int, n_held_out: int) -> float:
    """The measure of samples whose nearest training image and nearest held-out image are at these distances, (N,) and (N,).

    Ties count half: a sample that equals a training image and a held-out image says nothing.
    """
    share = float(((to_training < to_held_out).double() + 0.5 * (to_training == to_held_out).double()).mean())
    trained, held_out = share / n_training, (1 - share) / n_held_out
    return trained / (trained + held_out)
