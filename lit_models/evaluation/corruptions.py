"""What is no digit: real images spoilt in ways that a generative model might spoil them, and others.

`KINDS` maps a name to a function of images (N, 1, 28, 28) in [0, 1] on the CPU, their labels (N,) and a generator to as many or fewer
spoilt ones. A judge is trained on those of `TRAINED`; those of `HELD_OUT` it has to refuse unseen. All are made of real
images only, never of a model's, so that no model under study is closer to what the judge has seen than another.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from lit_models.losses import PIXELS

Spoil = Callable[[Tensor, Tensor, Generator | None], Tensor]


def partners(labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """Rows of pairs of images of different digits, each (M,)."""
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
    """The top of one on the bottom of another."""
    first, second = partners(labels, generator)
    return torch.cat([images[first, :, :14], images[second, :, 14:]], dim=2)


def halves(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The left of one beside the right of another."""
    first, second = partners(labels, generator)
    return torch.cat([images[first, :, :, :14], images[second, :, :, 14:]], dim=3)


def checkered(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Patches of 7 x 7 from two digits in turn."""
    first, second = partners(labels, generator)
    rows = torch.arange(28) // 7
    return torch.where((rows[:, None] + rows) % 2 == 0, images[first], images[second])


def quadrants(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The four quarters in another order, each image its own."""
    quarters = images.unfold(2, 14, 14).unfold(3, 14, 14).reshape(len(images), 4, 14, 14)
    shift = torch.randint(1, 4, (len(images), 1), generator=generator)
    moved = quarters[torch.arange(len(images))[:, None], (torch.arange(4) + shift) % 4]
    return torch.cat([torch.cat([moved[:, 0], moved[:, 1]], dim=2), torch.cat([moved[:, 2], moved[:, 3]], dim=2)], dim=1)[:, None]


def flips(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Mirrored, but for 0, 1, 6, 8 and 9, which may be digits still."""
    return images[torch.isin(labels, torch.tensor([2, 3, 4, 5, 7]))].flip(3)


def torn(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Pairs of rows shifted by up to seven pixels either way, each its own."""
    shift = torch.randint(-7, 8, (len(images), 1, 14, 1), generator=generator).repeat_interleave(2, dim=2)
    return images.gather(3, (torch.arange(28) + shift) % 28)


def warped(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Bent by a smooth random field of some nine pixels."""
    field = interpolate(torch.randn(len(images), 2, 4, 4, generator=generator), size=28, mode="bicubic", align_corners=True)
    line = (torch.arange(28) * 2 + 1) / 28 - 1
    plain = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    return grid_sample(images, plain + 0.65 * field.permute(0, 2, 3, 1), align_corners=False)


def smeared(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Averaged over windows of 11 x 11."""
    return avg_pool2d(images, 11, stride=1, padding=5)


def crowds(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The mean of eight images of any digits."""
    return images[torch.randint(len(images), (len(images), 8), generator=generator)].mean(dim=1)


def negatives(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Black for white."""
    return 1 - images


def faint(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Nearly black: at most a tenth of the brightness."""
    return 0.1 * images * torch.rand(len(images), 1, 1, 1, generator=generator)


def noise(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Uniform pixels."""
    return torch.rand(images.shape, generator=generator)


def shuffled(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The pixels in another order, each image its own."""
    order = torch.rand(len(images), PIXELS, generator=generator).argsort(dim=1)
    return images.flatten(1).gather(1, order).view(images.shape)


def gaussian(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Draws from the normal distribution with the images' mean and covariance: what has their second moments is no digit yet."""
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
    """One kind after another, each on its share of the images, (M, 1, 28, 28) with M at most N."""
    rows = torch.randperm(len(images), generator=generator).tensor_split(len(kinds))
    return torch.cat([kind(images[own], labels[own], generator) for own, kind in zip(rows, kinds.values(), strict=True) if len(own)])
