r"""Autoregressive model of binary pixels: each pixel is a Bernoulli variable given the class and all pixels before it.

Minimises :math:`-\log p(x|y) = -\sum_i \log p(x_i \mid x_{<i}, y)`, exactly and in nats per image. The pixels are in raster order, and the
colours of a pixel follow each other. By Bayes' rule, with uniform labels, the model also says which class an image belongs to:

.. math:: p(y|x) = p(x|y) \,/\, \textstyle\sum_k p(x|k), \qquad p(x) = \tfrac1K \textstyle\sum_k p(x|k)

Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, equations 1 and 2 (colours). https://arxiv.org/abs/1601.06759
"""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor
from torch.nn.functional import logsigmoid

from lit_models.contracts import ImageShape
from lit_models.losses import bernoulli_loss, is_binary
from lit_models.nn.blocks import MNIST
from lit_models.nn.row_transformer import RowTransformer
from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature
from lit_models.training.batches import images_of, labelled_images_of
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam, training_steps


class Pixels(LightningModule):
    """A transformer over rows and a masked perceptron within each row. `forward` is `log_likelihood`.

    Args:
        width, layers, heads: Of the transformer.
        units: Hidden units per pixel of the perceptron, whose cost per row grows with the square of `units` times the numbers in a row.
        dropout: In the transformer, for data sets so small that the model would learn them by heart.
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training).
        image_shape, classes: Of the data; classes is None for images without labels, and then the model is not conditional.
    """

    exact = True

    def __init__(
        self,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        units: int = 16,
        dropout: float = 0.0,
        lr: float = 4e-3,
        lr_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape, self.classes, self.lr, self.lr_steps = image_shape, classes, lr, lr_steps
        colours, height, across = image_shape
        self.network = RowTransformer(height, across * colours, classes or 1, width, layers, heads, units, dropout)
        self._binary = False  # unknown until the first batch

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels = self._images_of(batch)
        loss = self._nats(images, labels).mean()
        log_terms(self, "train", {"loss": loss}, len(images))
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = self._images_of(batch)
        fitting = self._trainer is not None and self._trainer.state.fn == "fit"
        passes = self.classes if fitting and self.classes else 1  # a pass per class over all would take a third of the time of an epoch
        self._evaluate(images, labels, "val", math.ceil(len(images) / passes))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = self._images_of(batch)
        self._evaluate(images, labels, "test", len(images))

    def _evaluate(self, images: Tensor, labels: Tensor, stage: str, some: int) -> None:
        """Logs the loss, and on the first `some` images also what needs one pass per class."""
        log_terms(self, stage, {"loss": self._nats(images, labels).mean()}, len(images))
        joint = self._given_each_class(images[:some])
        terms = {"nats": math.log(joint.shape[1]) - joint.logsumexp(dim=1).mean()}
        if self.classes is not None:
            terms["accuracy"] = (joint.argmax(dim=1) == labels[:some]).to(joint.dtype).mean()
        log_terms(self, stage, terms, some)

    def _images_of(self, batch: Any) -> tuple[Tensor, Tensor]:
        """As `labelled_images_of`; ValueError if the first batch is not binary. A look at every batch would wait for the device."""
        images, labels = labelled_images_of(self, batch, self.classes)
        if not self._binary:
            check_binary(images)
            self._binary = True
        return images, labels.long()

    def _rows(self, images: Tensor) -> Tensor:
        """The numbers of each row in their order, (B, C, H, W) to (B, H, W C): colours of a pixel are next to each other."""
        return images.permute(0, 2, 3, 1).flatten(2)

    def _images(self, rows: Tensor) -> Tensor:
        colours, height, across = self.image_shape
        return rows.view(-1, height, across, colours).permute(0, 3, 1, 2).contiguous()

    def _nats(self, images: Tensor, labels: Tensor) -> Tensor:
        r""":math:`-\log p(x|y)`, (B,)."""
        rows = self._rows(images)
        return bernoulli_loss(self.network(rows, labels), rows)

    def _given_each_class(self, images: Tensor) -> Tensor:
        r""":math:`\log p(x|y)` for each class y, (B, classes); one column without labels."""
        each = [torch.full((len(images),), label, device=images.device) for label in range(self.classes or 1)]
        return torch.stack([-self._nats(images, labels) for labels in each], dim=1)

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps or training_steps(self))

    # -- verbs

    def log_likelihood(self, images: Tensor, generator: Generator | None = None) -> Tensor:
        r""":math:`\log p(x)` with uniform labels summed out, in nats per image, (B,). Nothing is drawn: `generator` is not used.

        Raises:
            ValueError: For grey images.
        """
        check_binary(images)
        joint = self._given_each_class(images)
        return joint.logsumexp(dim=1) - math.log(joint.shape[1])

    def logits(self, images: Tensor, labels: Tensor) -> Tensor:
        """Logits of all pixels, each given the label and the pixels before it, (B, C, H, W) and (B,) to (B, C, H, W)."""
        return self._images(self.network(self._rows(images), labels))

    def forward(self, images: Tensor) -> Tensor:
        return self.log_likelihood(images)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.log_likelihood(images_of(self, batch)[0])

    def classify(self, images: Tensor) -> Tensor:
        """Log-probability of each class by Bayes' rule with uniform labels, (B, classes).

        Raises:
            ValueError: For grey images, or if the model has no labels.
        """
        if self.classes is None:
            raise ValueError("classify expected a model of labelled images, got one with classes None: train it on images with labels")
        check_binary(images)
        return self._given_each_class(images).log_softmax(dim=1)

    @torch.no_grad()
    def sample(
        self, n: int = 1, labels: Tensor | int | None = None, generator: Generator | None = None, *, temperature: float | None = None
    ) -> Tensor:
        """Binary images, drawn pixel by pixel; the logits are divided by `temperature`, 1 by default.

        Without labels all classes are equally likely.
        """
        scale = min(max(checked_temperature(temperature), 1e-30), 1e30)  # in the range of float32
        asked = labels_for(n, labels, self.classes)
        if asked is None:
            asked = torch.randint(self.classes or 1, (n,), generator=generator)
        noise = self._noise(n, generator)
        rows = self.network.draw(
            asked.to(self.device), lambda row, column, logits: (noise[:, row, column] < (logits / scale).sigmoid()).to(logits)
        )
        return self._images(rows)

    def _noise(self, n: int, generator: Generator | None) -> Tensor:
        """A uniform number for each pixel, (n, H, W C), drawn on the CPU, so that a seed gives the same on every device."""
        colours, height, across = self.image_shape
        return torch.rand(n, height, across * colours, generator=generator).to(self.device)

    @torch.no_grad()
    def complete(self, images: Tensor, known: Tensor, generator: Generator | None = None) -> Tensor:
        r"""Images whose known pixels are kept, and whose others are drawn from :math:`p(x_i \mid x_{<i})` in raster order.

        Labels are summed out: the classes' predictions are averaged with weights :math:`p(y \mid x_{<i})`. If all known pixels come before
        all others, as in whole upper rows, completions are draws from the model given the known pixels. Otherwise a pixel that is drawn
        depends on none of the known pixels after it.

        Args:
            images: (B, C, H, W). Pixels that are not known may hold anything.
            known: (H, W) booleans.
        Raises:
            ValueError: If `known` has another shape or type, or if known pixels are grey.
        """
        if known.shape != images.shape[2:] or known.dtype != torch.bool:
            expected, got = tuple(images.shape[2:]), f"{known.dtype} of shape {tuple(known.shape)}"
            raise ValueError(f"complete expected a mask of booleans of shape {expected}, got {got}: True stands for a known pixel")
        check_binary(images[:, :, known])
        kept = known.cpu().repeat_interleave(self.image_shape[0], dim=1).tolist()
        classes, given, noise = self.classes or 1, self._rows(images), self._noise(len(images), generator)
        weights = torch.zeros(len(images), classes, device=self.device, dtype=self.dtype)  # log p(x_<i | y)

        def choose(row: int, column: int, logits: Tensor) -> Tensor:
            nonlocal weights
            logits = logits.view(-1, classes)
            probability = (weights.softmax(dim=1) * logits.sigmoid()).sum(dim=1)
            pixel = given[:, row, column] if kept[row][column] else (noise[:, row, column] < probability).to(logits)
            weights = weights + logsigmoid(torch.where(pixel[:, None] > 0, logits, -logits))
            return pixel.repeat_interleave(classes)

        rows = self.network.draw(torch.arange(classes, device=self.device).repeat(len(images)), choose)
        return self._images(rows[::classes])


def check_binary(images: Tensor) -> None:
    """ValueError unless all pixels are 0 or 1."""
    if not is_binary(images):
        raise ValueError("Pixels expected images of 0 and 1, got grey ones: train with --config binarized")
