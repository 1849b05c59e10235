"""Images that are no digits: real images, corrupted in ways in which a generative model might fail, and in others.

`KINDS` maps a name to a function that takes images (N, 1, 28, 28) in [0, 1] on the CPU, their labels (N,) and a generator, and returns N
or fewer corrupted images. A judge is trained on the kinds of `TRAINED`, and has to refuse those of `HELD_OUT` without having seen them.
All are made of real images only, never of a model's samples, so that no model under study is closer to what the judge has seen than
another.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from lit_models.losses import PIXELS

Spoil = Callable[[Tensor, Tensor, Generator | None], Tensor]


def partners(labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The rows of M pairs of images of different digits, (M,) and (M,)."""
    other = torch.randperm(len(labels), generator=generator)
    apart = (labels != labels[other]).nonzero()[:, 0]
    return apart, other[apart]


def averages(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The mean of two digits."""
    first, second = partners(labels, generator)
    return 0.5 * (images[first] + images[second])


def unions(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Two digits over each other."""
    first, second = partners(labels, generator)
    return torch.maximum(images[first], images[second])


def stacked(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The top half of one digit above the bottom half of another."""
    first, second = partners(labels, generator)
    return torch.cat([images[first, :, :14], images[second, :, 14:]], dim=2)


def halves(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The left half of one digit next to the right half of another."""
    first, second = partners(labels, generator)
    return torch.cat([images[first, :, :, :14], images[second, :, :, 14:]], dim=3)


def checkered(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Patches of 7 x 7 from two digits in turn, as on a checkerboard."""
    first, second = partners(labels, generator)
    rows = torch.arange(28) // 7
    return torch.where((rows[:, None] + rows) % 2 == 0, images[first], images[second])


def quadrants(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The four quarters of an image in another order; each image has its own order."""
    quarters = images.unfold(2, 14, 14).unfold(3, 14, 14).reshape(len(images), 4, 14, 14)
    shift = torch.randint(1, 4, (len(images), 1), generator=generator)
    moved = quarters[torch.arange(len(images))[:, None], (torch.arange(4) + shift) % 4]
    return torch.cat([torch.cat([moved[:, 0], moved[:, 1]], dim=2), torch.cat([moved[:, 2], moved[:, 3]], dim=2)], dim=1)[:, None]


def flips(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Mirrored images of 2, 3, 4, 5 and 7; other digits may still be digits in the mirror."""
    return images[torch.isin(labels, torch.tensor([2, 3, 4, 5, 7]))].flip(3)


def torn(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Pairs of rows shifted sideways by up to seven pixels, each by its own amount."""
    shift = torch.randint(-7, 8, (len(images), 1, 14, 1), generator=generator).repeat_interleave(2, dim=2)
    return images.gather(3, (torch.arange(28) + shift) % 28)


def warped(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Bent by a smooth random field of about nine pixels."""
    return bend(images, 4, 0.65, generator)


def bend(images: Tensor, knots: int, amount: float, generator: Generator | None) -> Tensor:
    """Move pixels by a smooth random field with `knots` x `knots` draws of standard deviation `amount`, in halves of the image's side."""
    field = interpolate(torch.randn(len(images), 2, knots, knots, generator=generator), size=28, mode="bicubic", align_corners=True)
    return resampled(images, amount * field.permute(0, 2, 3, 1))


def resampled(images: Tensor, moves: Tensor) -> Tensor:
    """Each pixel is taken from a place that lies `moves` away, (N, 28, 28, 2) or broadcast to it, in halves of the image's side."""
    line = (torch.arange(28) * 2 + 1) / 28 - 1
    plain = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    return grid_sample(images, plain + moves, align_corners=False)


def smeared(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Averaged over windows of 11 x 11."""
    return avg_pool2d(images, 11, stride=1, padding=5)


def crowds(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The mean of eight images of any digits."""
    return images[torch.randint(len(images), (len(images), 8), generator=generator)].mean(dim=1)


def negatives(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Black and white exchanged."""
    return 1 - images


def faint(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Nearly black: at most a tenth of the brightness."""
    return 0.1 * images * torch.rand(len(images), 1, 1, 1, generator=generator)


def noise(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Uniform pixels."""
    return torch.rand(images.shape, generator=generator)


def shuffled(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The pixels in another order; each image has its own order."""
    order = torch.rand(len(images), PIXELS, generator=generator).argsort(dim=1)
    return images.flatten(1).gather(1, order).view(images.shape)


def gaussian(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Draws from the normal distribution with the mean and covariance of the images: these two moments do not make a digit."""
    flat = images.flatten(1)
    mixing = torch.randn(len(images), len(images), generator=generator) / len(images) ** 0.5
    return (flat.mean(dim=0) + mixing @ (flat - flat.mean(dim=0))).clamp(0, 1).view(images.shape)


def doubled(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Two different digits, each half as wide, side by side."""
    first, second = partners(labels, generator)
    narrow = interpolate(images, size=(28, 14), mode="bilinear", antialias=True)
    return torch.cat([narrow[first], narrow[second]], dim=3)


TRAINED: dict[str, Spoil] = {
    "averages of two digits": averages,
    "unions of two digits": unions,
    "top on another's bottom": stacked,
    "left beside another's right": halves,
    "shuffled quarters": quadrants,
    "mirrored 2, 3, 4, 5, 7": flips,
    "torn into rows": torn,
    "bent": warped,
    "smeared": smeared,
    "black for white": negatives,
    "faint": faint,
    "uniform noise": noise,
    "shuffled pixels": shuffled,
}
HELD_OUT: dict[str, Spoil] = {
    "checkered from two digits": checkered,
    "means of eight": crowds,
    "Gaussian with real covariance": gaussian,
    "two digits side by side": doubled,
}
KINDS = TRAINED | HELD_OUT


def spoil(images: Tensor, labels: Tensor, generator: Generator | None, kinds: dict[str, Spoil] = TRAINED) -> Tensor:
    """Each kind is applied to its share of the images; the result is (M, 1, 28, 28) with M at most N."""
    rows = torch.randperm(len(images), generator=generator).tensor_split(len(kinds))
    parts = [kind(images[own], labels[own], generator) for own, kind in zip(rows, kinds.values(), strict=True) if len(own)]
    return torch.cat([images[:0], *parts])
