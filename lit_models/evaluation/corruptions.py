"""Images that show none of the classes: real images, corrupted in ways in which a generative model might fail, and in others.

`KINDS` maps a name to a function that takes images (N, C, H, W) in [0, 1] on the CPU, their labels (N,) and a generator, and returns N
or fewer corrupted images. A judge is trained on the kinds of `TRAINED`, and has to refuse those of `HELD_OUT` without having seen them.
Not every kind makes sense for every data set (`lit_models.evaluation.asked_kinds`); lengths are those for a side of 28 and scale with it.
All are made of real images only, never of a model's samples, so that no model under study is closer to what the judge has seen than
another.
"""

from collections.abc import Callable, Collection

import torch
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

Spoil = Callable[[Tensor, Tensor, Generator | None], Tensor]


def pixels(length: float, images: Tensor) -> int:
    """A length in pixels of images with a side of 28, in pixels of these images (N, C, H, W); at least 1."""
    return max(1, round(length * images.shape[-1] / 28))


def means_over_windows(images: Tensor, window: int) -> Tensor:
    """Each pixel becomes the mean over a window around it; the window, an odd number, scales with the side."""
    reach = pixels((window - 1) / 2, images)
    return avg_pool2d(images, 2 * reach + 1, stride=1, padding=reach)


def partners(labels: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """The rows of M pairs of images of different classes, (M,) and (M,)."""
    other = torch.randperm(len(labels), generator=generator)
    apart = (labels != labels[other]).nonzero()[:, 0]
    return apart, other[apart]


def averages(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The mean of two images."""
    first, second = partners(labels, generator)
    return 0.5 * (images[first] + images[second])


def unions(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Two images over each other: the brighter pixel of both."""
    first, second = partners(labels, generator)
    return torch.maximum(images[first], images[second])


def stacked(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The top half of one image above the bottom half of another."""
    first, second = partners(labels, generator)
    half = images.shape[2] // 2
    return torch.cat([images[first, :, :half], images[second, :, half:]], dim=2)


def halves(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The left half of one image next to the right half of another."""
    first, second = partners(labels, generator)
    half = images.shape[3] // 2
    return torch.cat([images[first, :, :, :half], images[second, :, :, half:]], dim=3)


def checkered(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Patches from two images in turn, as on a checkerboard of 4 x 4."""
    first, second = partners(labels, generator)
    rows = 4 * torch.arange(images.shape[3]) // images.shape[3]
    return torch.where((rows[:, None] + rows) % 2 == 0, images[first], images[second])


def quadrants(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The four quarters of an image in another order; each image has its own order."""
    half = images.shape[2] // 2
    quarters = images.unfold(2, half, half).unfold(3, half, half).flatten(2, 3).transpose(1, 2)  # (N, 4, C, H / 2, W / 2)
    shift = torch.randint(1, 4, (len(images), 1), generator=generator)
    moved = quarters[torch.arange(len(images))[:, None], (torch.arange(4) + shift) % 4]
    return torch.cat([torch.cat([moved[:, 0], moved[:, 1]], dim=3), torch.cat([moved[:, 2], moved[:, 3]], dim=3)], dim=2)


NOT_SYMMETRIC = [2, 3, 4, 5, 7]


def flips(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Mirrored images of 2, 3, 4, 5 and 7; other digits may still be digits in the mirror."""
    return images[torch.isin(labels, torch.tensor(NOT_SYMMETRIC))].flip(3)


def mirrored(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Mirrored images of all classes, in the place of `flips` where classes are no digits."""
    return images.flip(3)


def torn(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Pairs of rows shifted sideways by up to a quarter of the side, each by its own amount."""
    n, channels, height, width = images.shape
    rows, most = pixels(2, images), width // 4
    shift = torch.randint(-most, most + 1, (n, 1, -(-height // rows), 1), generator=generator).repeat_interleave(rows, dim=2)
    places = (torch.arange(width) + shift[:, :, :height]) % width
    return images.gather(3, places.expand(-1, channels, -1, -1))


def warped(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Bent by a smooth random field of about a third of the side."""
    return bend(images, 4, 0.65, generator)


def bend(images: Tensor, knots: int, amount: float, generator: Generator | None) -> Tensor:
    """Move pixels by a smooth random field with `knots` x `knots` draws of standard deviation `amount`, in halves of the image's side."""
    field = interpolate(
        torch.randn(len(images), 2, knots, knots, generator=generator), size=images.shape[3], mode="bicubic", align_corners=True
    )
    return resampled(images, amount * field.permute(0, 2, 3, 1))


def resampled(images: Tensor, moves: Tensor) -> Tensor:
    """Each pixel is taken from a place that lies `moves` away, (N, H, W, 2) or broadcast to it, in halves of the image's side."""
    side = images.shape[3]
    line = (torch.arange(side) * 2 + 1) / side - 1
    plain = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    return grid_sample(images, plain + moves, align_corners=False)


def smeared(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Averaged over windows of 11 x 11."""
    return means_over_windows(images, 11)


def crowds(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """The mean of eight images of any classes."""
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
    flat = images.flatten(2)
    order = torch.rand(len(images), flat.shape[2], generator=generator).argsort(dim=1)
    return flat.gather(2, order[:, None].expand(-1, flat.shape[1], -1)).view(images.shape)


def gaussian(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Draws from the normal distribution with the mean and covariance of the images: these two moments make none of the classes."""
    flat = images.flatten(1)
    mixing = torch.randn(len(images), len(images), generator=generator) / len(images) ** 0.5
    return (flat.mean(dim=0) + mixing @ (flat - flat.mean(dim=0))).clamp(0, 1).view(images.shape)


def doubled(images: Tensor, labels: Tensor, generator: Generator | None) -> Tensor:
    """Two images of different classes, each half as wide, side by side."""
    first, second = partners(labels, generator)
    narrow = interpolate(images, size=(images.shape[2], images.shape[3] // 2), mode="bilinear", antialias=True)
    return torch.cat([narrow[first], narrow[second]], dim=3)


FOR_DIGITS = "mirrored 2, 3, 4, 5, 7"
TRAINED: dict[str, Spoil] = {
    "averages of two digits": averages,
    "unions of two digits": unions,
    "top on another's bottom": stacked,
    "left beside another's right": halves,
    "shuffled quarters": quadrants,
    FOR_DIGITS: flips,
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
PAIRED = (averages, unions, stacked, halves, checkered, doubled)  # made of the two images that `partners` chooses first


def without(left_out: Collection[str], kinds: dict[str, Spoil]) -> dict[str, Spoil]:
    """The kinds of a data set: those of digits, where the one that is for digits alone is left out `mirrored` instead, less others."""
    if FOR_DIGITS in left_out and FOR_DIGITS in kinds:
        kinds = kinds | {"mirrored": mirrored}
    return {name: kind for name, kind in kinds.items() if name not in left_out}


def spoil(images: Tensor, labels: Tensor, generator: Generator | None, kinds: dict[str, Spoil] = TRAINED) -> Tensor:
    """Each kind is applied to its share of the images; the result is (M, C, H, W) with M at most N."""
    rows = torch.randperm(len(images), generator=generator).tensor_split(len(kinds))
    parts = [kind(images[own], labels[own], generator) for own, kind in zip(rows, kinds.values(), strict=True) if len(own)]
    return torch.cat([images[:0], *parts])
