r"""Two kinds of classifiers of digits: those that the judge is made of, and those in whose features distances are measured.

With `spoil`, a classifier also knows what is no digit. It minimises the cross-entropy of eleven classes, ten digits and "no digit". Half
of each batch is made into examples of the last class, real images that `lit_models.evaluation.corruptions` spoils. A blurred digit is
still that digit, as the mean of a class is: an eighth of the digits of a batch are replaced by means of their class, and an eighth by
means over 5 x 5 pixels. Training images are shifted by up to two pixels. The judge is made of two such classifiers.

Without `spoil`, a classifier sees real images as they are, and ten classes. It has no reason to treat a blurred or a shifted digit as a
sharp one in its place, so distances in its features see both (`lit_models.evaluation.features`).
"""

from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, pad

from lit_models.evaluation.corruptions import spoil
from lit_models.losses import PIXELS
from lit_models.nn.blocks import FlattenGrid, image_trunk
from lit_models.training.batches import labelled_images_of
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam, training_steps

Layers = Literal["residual", "pooled", "dense"]


class Classifier(LightningModule):
    """Args:
    layers: `residual` has strided convolutions and residual blocks with GroupNorm. `pooled` has convolutions of 5 x 5 and maxima over
        2 x 2, without normalisation (LeCun et al. 1998, figure 2, wider). `dense` is a perceptron with one layer before the features.
    channels: Number of maps of the first convolution, or width of the layer of `dense`.
    width: Width of the features that digits are classified by.
    spoil: Whether half of each batch is spoilt, and an eleventh class learnt.
    smoothing: Label smoothing.
    lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training).
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
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.spoil, self.smoothing, self.lr, self.lr_steps = spoil, smoothing, lr, lr_steps
        self.trunk = {"residual": residual_trunk, "pooled": pooled_trunk, "dense": dense_trunk}[layers](channels, width)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, 11 if spoil else 10))

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels = labelled_images_of(self, batch)
        if self.spoil:
            images, labels = self._spoilt(images, labels)
        loss = cross_entropy(self.head(self.features(images)), labels, label_smoothing=self.smoothing)
        log_terms(self, "train", {"loss": loss}, len(images))
        return loss

    def _spoilt(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A batch with blurred digits, and half as many images of the class "no digit"; both shifted."""
        half = len(images) // 2
        no_digits = spoil(images[:half].cpu(), labels[:half].cpu(), None).to(images)
        eighth = len(images) // 8
        blurred = avg_pool2d(images[eighth : 2 * eighth], 5, stride=1, padding=2)
        digits = torch.cat([blend(images, labels)[:eighth], blurred, images[2 * eighth :]])
        right, down = torch.randint(5, (2,)).tolist()
        both = pad(torch.cat([digits, no_digits]), (2, 2, 2, 2))[:, :, down : down + 28, right : right + 28]
        return both, torch.cat([labels, labels.new_full((len(no_digits),), 10)])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Any, stage: str) -> None:
        images, labels = labelled_images_of(self, batch)
        logits = self.head(self.features(images))
        right = logits[:, :10].argmax(dim=1) == labels
        terms = {"loss": cross_entropy(logits, labels), "accuracy": right.float().mean()}
        log_terms(self, stage, terms, len(images))

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps or training_steps(self), betas=(0.9, 0.99))

    # -- verbs

    def features(self, images: Tensor) -> Tensor:
        """Input of the last layer, (B, width)."""
        return self.trunk(images)

    def classify(self, images: Tensor) -> Tensor:
        """Logits of the ten digits, (B, 10), as if an image had to be one."""
        return self.head(self.features(images))[:, :10]


def blend(images: Tensor, labels: Tensor) -> Tensor:
    """Replace each image (B, 1, 28, 28) by a weighted mean of the images of its class: from nearly one of them to all alike."""
    sharpness = 4 * torch.rand(len(images), 1, device=images.device)
    weights = sharpness * torch.randn(len(images), len(images), device=images.device)
    weights = weights.masked_fill(labels[:, None] != labels, -torch.inf).softmax(dim=1)
    return (weights @ images.flatten(1)).view_as(images)


def residual_trunk(channels: int, width: int) -> nn.Sequential:
    """Images (B, 1, 28, 28) to features (B, width)."""
    return nn.Sequential(
        image_trunk(channels, blocks=2),
        nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),  # (B, 2C, 4, 4)
        nn.SiLU(),
        FlattenGrid(),
        nn.Linear(2 * channels * 16, width),
        nn.SiLU(),
    )


def pooled_trunk(channels: int, width: int) -> nn.Sequential:
    """Images (B, 1, 28, 28) to features (B, width)."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, C, 14, 14)
        nn.Conv2d(channels, 3 * channels, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 3C, 7, 7)
        FlattenGrid(),
        nn.Linear(3 * channels * 49, width),
        nn.ReLU(),
    )


def dense_trunk(hidden: int, width: int) -> nn.Sequential:
    """Images (B, 1, 28, 28) to features (B, width)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.ReLU())
