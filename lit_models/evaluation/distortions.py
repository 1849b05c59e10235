"""Sets of images that are further from real images the stronger a distortion is: the controls of distances.

`DISTORTIONS` maps a name to three growing strengths and a function that takes real images (N, C, H, W) in [0, 1] on the CPU, their
labels (N,), a strength and a generator, and returns N images. Some distortions change every image, as blur does. Others leave each image
real and change the set, as a class that is left out does; those of `LABELLED` need labels. Lengths are those for a side of 28, and scale
with the side. A distance has to rise with the strength of each. A judge of single images (`lit_models.evaluation.corruptions`) can see
only the first kind.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from sklearn.cluster import KMeans
from torch import Generator, Tensor
from torch.nn.functional import max_pool2d

from lit_models.evaluation.corruptions import averages, bend, means_over_windows, pixels, resampled

Distort = Callable[[Tensor, Tensor, float, Generator], Tensor]


class Distortion(NamedTuple):
    """A function, and the strengths at which it is measured."""

    apply: Distort
    strengths: tuple[float, float, float]


def blurred(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Means over windows of `strength` x `strength` pixels."""
    return means_over_windows(images, int(strength))


def thinned(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Weighted mean of each image and its erosion over 3 x 3 pixels, which has the weight `strength`."""
    return torch.lerp(images, -_dilated(-images), strength)


def thickened(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Weighted mean of each image and its dilation over 3 x 3 pixels, which has the weight `strength`."""
    return torch.lerp(images, _dilated(images), strength)


def _dilated(images: Tensor) -> Tensor:
    reach = pixels(1, images)
    return max_pool2d(images, 2 * reach + 1, stride=1, padding=reach)


def noisy(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Gaussian noise of this standard deviation is added to each pixel."""
    return (images + strength * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def pale(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Brightness is lowered by the share `strength`."""
    return (1 - strength) * images


def shifted(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Each image is moved by `strength` pixels to the left, right, top or bottom."""
    moves = torch.tensor([(0, 1), (0, -1), (1, 0), (-1, 0)])[torch.randint(4, (len(images),), generator=generator)]
    return resampled(images, (2 / 28 * strength * moves).view(-1, 1, 1, 2))


def bent(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Each image is bent by a smooth random field of `strength` pixels."""
    return bend(images, 5, 2 / 28 * strength, generator)


def classes_left_out(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """The images of the last `strength` classes out of ten, or of as large a share of another number, are replaced by others."""
    classes = int(labels.max()) + 1
    first = classes - min(max(1, round(strength * classes / 10)), classes - 1)
    kept = (labels < first).nonzero()[:, 0]
    return _replaced(images, labels >= first, images[_drawn(kept, len(images), generator)])


def one_style(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """A share `strength` of the images is replaced by images of one style: of each class, the first of five clusters."""
    own = images.clone()
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        clusters = KMeans(min(5, len(rows)), n_init=1, random_state=0).fit_predict(images[rows].flatten(1).numpy())
        own[rows] = images[_drawn(rows[torch.from_numpy(clusters) == 0], len(rows), generator)]
    return _replaced(images, _some(images, strength), own)


def class_means(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """A share `strength` of the images is replaced by the mean of their class."""
    means = torch.stack([images[labels == label].mean(dim=0) for label in labels.unique()])
    return _replaced(images, _some(images, strength), means[labels.unique(return_inverse=True)[1]])


def few_distinct(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Copies of few images: the set has only one distinct image per `strength` images."""
    distinct = max(1, int(len(images) / strength))
    return images[torch.arange(len(images)) % distinct]


def blends(images: Tensor, labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """A share `strength` of the images is replaced by the mean of two images of different classes."""
    means = averages(images, labels, generator)
    return _replaced(images, _some(images, strength), means[torch.arange(len(images)) % len(means)])


def _some(images: Tensor, share: float) -> Tensor:
    return torch.arange(len(images)) < share * len(images)


def _drawn(rows: Tensor, n: int, generator: Generator) -> Tensor:
    return rows[torch.randint(len(rows), (n,), generator=generator)]


def _replaced(images: Tensor, where: Tensor, others: Tensor) -> Tensor:
    return torch.where(where[:, None, None, None], others, images)


DISTORTIONS: dict[str, Distortion] = {
    "blurred, window of n x n": Distortion(blurred, (3, 5, 7)),
    "thinned": Distortion(thinned, (0.25, 0.5, 1)),
    "thickened": Distortion(thickened, (0.25, 0.5, 1)),
    "noise added": Distortion(noisy, (0.05, 0.1, 0.2)),
    "paler": Distortion(pale, (0.1, 0.2, 0.4)),
    "shifted, pixels": Distortion(shifted, (1, 2, 3)),
    "bent, pixels": Distortion(bent, (0.5, 1, 2)),
    "classes left out": Distortion(classes_left_out, (1, 2, 4)),
    "one style, share": Distortion(one_style, (0.25, 0.5, 1)),
    "class means, share": Distortion(class_means, (0.125, 0.25, 0.5)),
    "copies per image": Distortion(few_distinct, (4, 16, 64)),
    "blends of two digits, share": Distortion(blends, (0.1, 0.2, 0.4)),
}
LABELLED = ("classes left out", "one style, share", "class means, share", "blends of two digits, share")
