"""What all figures share: they draw after validations, write on rank 0, and go to files and loggers."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from callbacks.figures.classes import MOST, shown_classes
from callbacks.figures.show import show
from callbacks.observer import Observer
from datamodules.contracts import DescribesImages
from lit_models.training.fixed_images import data_name, fixed_images

Drawn = Iterator[tuple[str, np.ndarray]]


class Figure(Observer):
    """Draws after the validation of every `every_n_epochs`-th epoch, and of the last, into `figures/` and the loggers."""

    def __init__(self, every_n_epochs: int = 1) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        self.every_n_epochs = every_n_epochs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            own = isinstance(trainer.logger, TensorBoardLogger | CSVLogger)  # others have a store that all runs share
            folder = trainer.log_dir if own else None  # here, because log_dir is collective
            self.folder = Path(folder or trainer.default_root_dir) / "figures"

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        due = epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs
        if due and self.is_due(trainer) and trainer.is_global_zero:
            with self.observing(pl_module):
                for tag, picture in self.draw(trainer, pl_module):
                    show(trainer, self.folder, tag, picture)

    @abstractmethod
    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        """Tags and pictures, (H, W, 3) uint8."""


def caption(trainer: Trainer, what: str) -> str:
    return f"{what} | {data_name(trainer)}, epoch {trainer.current_epoch + 1}"


def validation_images(trainer: Trainer, pl_module: LightningModule, n: int) -> tuple[Tensor, Tensor | None]:
    """The same `n` validation images and labels every time, where the model is."""
    images, labels = fixed_images(trainer, "val", n)
    return images.to(pl_module.device, pl_module.dtype), None if labels is None else labels.to(pl_module.device)


def lack_of_labels(trainer: Trainer) -> str:
    """Why a figure of classes cannot be made, if the data module says that its images have no labels; empty otherwise."""
    data = trainer.datamodule
    return f"{data_name(trainer)} has no labels" if isinstance(data, DescribesImages) and data.classes is None else ""


def one_per_class(trainer: Trainer, pl_module: LightningModule) -> tuple[Tensor, Tensor | None, int]:
    """The first fixed validation image of each class that is shown, the classes, and the number of classes that occur.

    Classes are shown as `shown_classes` chooses them from those that occur. Without labels it is ten images, None and 0.
    """
    images, labels = validation_images(trainer, pl_module, 1000)
    if labels is None:
        return images[:MOST], None, 0
    occurring = labels.unique()
    shown = occurring[shown_classes(len(occurring))]
    first = torch.stack([(labels == label).nonzero()[0, 0] for label in shown])
    return images[first], shown, len(occurring)


def decode_known(pl_module: LightningModule, codes: Tensor) -> Tensor:
    """Decodes of codes; black images for codes that are not known (NaN), as those of a class that does not occur."""
    known = codes.flatten(1).isfinite().all(dim=1)
    if not known.any():
        raise ValueError("no class has a code: the training images have no labels")
    found = pl_module.decode(codes[known])
    images = found.new_zeros(len(codes), *found.shape[1:])
    images[known] = found
    return images
