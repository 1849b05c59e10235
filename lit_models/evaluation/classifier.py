r"""Two kinds of classifiers of images: those that the judge is made of, and those in whose features distances are measured.

With `spoil`, a classifier also knows what shows none of the classes, for example no digit. It minimises the cross-entropy of one class
more than the data has. Half of each batch is made into examples of that last class, real images that `lit_models.evaluation.corruptions`
spoils. A blurred image is still of its class, as the mean of a class is: an eighth of the images of a batch are replaced by means of their
class, and an eighth by means over 5 x 5 pixels. Training images are shifted by up to two pixels. Lengths are those for a side of 28, and
scale with the side. The judge is made of two such classifiers.

Without `spoil`, a classifier sees real images as they are, and their classes. It has no reason to treat a blurred or a shifted image as a
sharp one in its place, so distances in its features see both (`lit_models.evaluation.features`).
"""

import math
from itertools import pairwise
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from lit_models.contracts import ImageShape
from lit_models.evaluation.corruptions import TRAINED, means_over_windows, pixels, spoil, without
from lit_models.image_shape import grid_of
from lit_models.nn.blocks import MNIST, FlattenGrid, image_trunk
from lit_models.sampling.labels import needed
from lit_models.training.batches import labelled_images_of
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam, training_steps

Layers = Literal["residual", "pooled", "dense"]


class Classifier(LightningModule):
    """Args:
    layers: `residual` has strided convolutions and residual blocks with GroupNorm. `pooled` has convolutions of 5 x 5 and maxima over
        2 x 2, without normalisation (LeCun et al. 1998, figure 2, wider). `dense` is a perceptron with one layer before the features.
    channels: Number of maps of the first convolution, or width of the layer of `dense`.
    width: Width of the features that images are classified by.
    spoil: Whether half of each batch is spoilt, and the class of what shows none of the others learnt. Its number is `classes`.
    smoothing: Label smoothing.
    lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training).
    left_out: Names of kinds of corruption that `spoil` does not use, because they make sense for this data; by default none.
    """

    def __init__(
        self,
        layers: Layers = "residual",
        channels: int = 32,
        width: int = 128,
        spoil: bool = True,
        dropout: float = 0.3,
        smoothing: float = 0.05,
        lr: float = 2e-3,
        lr_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
        left_out: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.spoil, self.smoothing, self.lr, self.lr_steps = spoil, smoothing, lr, lr_steps
        self.image_shape, self.n_classes = image_shape, needed(classes, "Classifier")
        self.kinds = without(left_out or (), TRAINED)
        self.trunk = {"residual": residual_trunk, "pooled": pooled_trunk, "dense": dense_trunk}[layers](channels, width, image_shape)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, self.n_classes + spoil))

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels = labelled_images_of(self, batch, self.n_classes)
        if self.spoil:
            images, labels = self._spoilt(images, labels)
        loss = cross_entropy(self.head(self.features(images)), labels, label_smoothing=self.smoothing)
        log_terms(self, "train", {"loss": loss}, len(images))
        return loss

    def _spoilt(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A batch with blurred images, and half as many images of the class of what shows none of the others; both shifted."""
        half = len(images) // 2
        none_of_them = spoil(images[:half].cpu(), labels[:half].cpu(), None, self.kinds).to(images)
        eighth = len(images) // 8
        blurred = means_over_windows(images[eighth : 2 * eighth], 5)
        own = torch.cat([blend(images, labels)[:eighth], blurred, images[2 * eighth :]])
        most, side = pixels(2, images), images.shape[-1]
        right, down = torch.randint(2 * most + 1, (2,)).tolist()
        both = pad(torch.cat([own, none_of_them]), (most,) * 4)[:, :, down : down + side, right : right + side]
        return both, torch.cat([labels, labels.new_full((len(none_of_them),), self.n_classes)])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Any, stage: str) -> None:
        images, labels = labelled_images_of(self, batch, self.n_classes)
        logits = self.head(self.features(images))
        right = logits[:, : self.n_classes].argmax(dim=1) == labels
        terms = {"loss": cross_entropy(logits, labels), "accuracy": right.float().mean()}
        log_terms(self, stage, terms, len(images))

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps or training_steps(self), betas=(0.9, 0.99))

    # -- verbs

    def features(self, images: Tensor) -> Tensor:
        """Input of the last layer, (B, width)."""
        return self.trunk(images)

    def classify(self, images: Tensor) -> Tensor:
        """Logits of the classes, (B, classes), as if an image had to be of one."""
        return self.head(self.features(images))[:, : self.n_classes]


def blend(images: Tensor, labels: Tensor) -> Tensor:
    """Replace each image (B, C, H, W) by a weighted mean of the images of its class: from nearly one of them to all alike."""
    sharpness = 4 * torch.rand(len(images), 1, device=images.device)
    weights = sharpness * torch.randn(len(images), len(images), device=images.device)
    weights = weights.masked_fill(labels[:, None] != labels, -torch.inf).softmax(dim=1)
    return (weights @ images.flatten(1)).view_as(images)


def residual_trunk(channels: int, width: int, image_shape: ImageShape) -> nn.Sequential:
    """Images to features (B, width)."""
    return nn.Sequential(
        image_trunk(channels, blocks=2, image_shape=image_shape),
        nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),  # (B, 2C, 4, 4)
        nn.SiLU(),
        FlattenGrid(),
        nn.Linear(2 * channels * 16, width),
        nn.SiLU(),
    )


def pooled_trunk(channels: int, width: int, image_shape: ImageShape) -> nn.Sequential:
    """Images to features (B, width): two convolutions with maxima for a side of 28, one more for each further halving."""
    grid, halvings = grid_of(image_shape)
    maps = [image_shape[0], channels] + [3 * channels] * max(1, halvings - 1)
    layers: list[nn.Module] = []
    for number, (given, out) in enumerate(pairwise(maps)):
        layers += [nn.Conv2d(given, out, 5, padding=2), nn.ReLU()] + ([nn.MaxPool2d(2)] if number < halvings else [])
    return nn.Sequential(*layers, FlattenGrid(), nn.Linear(3 * channels * grid**2, width), nn.ReLU())


def dense_trunk(hidden: int, width: int, image_shape: ImageShape) -> nn.Sequential:
    """Images to features (B, width)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), hidden), nn.ReLU(), nn.Linear(hidden, width), nn.ReLU())
