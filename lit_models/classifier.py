"""A small convolutional classifier of digits: it tells whether a sample is the digit that was asked for.

Minimises the cross-entropy of the label; training images are shifted by up to two pixels.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from lit_models.loggers import log_terms
from lit_models.networks import image_trunk
from lit_models.schedules import adam


class Classifier(LightningModule):
    """The learning rate falls from `lr` to a fiftieth of it in `lr_steps` steps; `smoothing` is that of the labels."""

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 2,
        dropout: float = 0.3,
        smoothing: float = 0.05,
        lr: float = 2e-3,
        lr_steps: int = 3000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.smoothing, self.lr, self.lr_steps = smoothing, lr, lr_steps
        self.net = nn.Sequential(
            image_trunk(channels, blocks),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),  # (B, 2C, 4, 4)
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels * 16, 10),
        )

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        right, down = torch.randint(5, (2,)).tolist()
        images = pad(images, (2, 2, 2, 2))[:, :, down : down + 28, right : right + 28]
        loss = cross_entropy(self.classify(images), labels, label_smoothing=self.smoothing)
        log_terms(self, "train", {"loss": loss}, len(images))
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: list[Tensor], stage: str) -> None:
        images, labels = batch
        logits = self.classify(images)
        terms = {"loss": cross_entropy(logits, labels), "accuracy": (logits.argmax(1) == labels).float().mean()}
        log_terms(self, stage, terms, len(images))

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps, betas=(0.9, 0.99))

    def classify(self, images: Tensor) -> Tensor:
        """Logits of the ten digits, (B, 10)."""
        return self.net(images)
