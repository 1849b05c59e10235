"""What all figures share: they ask once, draw after validation, write on rank 0, and leave training untouched."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import ClassVar, get_args

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch import Tensor

from lit_models.checkpoints.files import replacing
from lit_models.contracts import HasAnchors, HasCodebook, HasReferenceImages
from lit_models.sampling.training_codes import class_means, class_spreads

Drawn = Iterator[tuple[str, np.ndarray]]


@contextmanager
def looking(pl_module: LightningModule) -> Iterator[None]:
    """Evaluation mode without gradients; modes and random state are put back as they were."""
    modes = {module: module.training for module in pl_module.modules()}
    devices = [pl_module.device] if pl_module.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        pl_module.eval()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode


def training_codes(pl_module: LightningModule) -> tuple[Tensor, Tensor]:
    """Code vectors and labels of the 10,000 fixed training images, as `encode` gives them now."""
    codes, labels = pl_module.training_codes.get(pl_module.device)
    return (pl_module.lookup(codes) if isinstance(pl_module, HasCodebook) else codes), labels


def class_places(pl_module: LightningModule) -> tuple[Tensor, Tensor, str]:
    """Where each class lives in the code, the unit of noise about it for each element of the code, and the unit's name.

    A model with anchors has them, and half the distance between neighbours; for others it is the mean and the standard deviation of
    the class's training codes.
    """
    if isinstance(pl_module, HasAnchors):
        anchors = pl_module.anchors()
        apart = torch.pdist(anchors).min()
        return anchors, (apart / 2).expand_as(anchors), "half-distances between anchors"
    codes, labels = training_codes(pl_module)
    return class_means(codes, labels), class_spreads(codes, labels), "class spreads"


def check_needs(callback: str, needs: Iterable[type | UnionType], trainer: Trainer, pl_module: LightningModule) -> None:
    """TypeError unless the model has all verbs that a callback needs, and the data module hands out fixed images."""
    for verb in needs:
        if not isinstance(pl_module, verb):
            verbs = " or ".join(each.__name__ for each in (get_args(verb) or (verb,)))
            raise TypeError(f"{callback} needs {verbs}, which {type(pl_module).__name__} lacks: drop {callback} from the config")
    if not isinstance(trainer.datamodule, HasReferenceImages):
        raise TypeError(f"{callback} needs a data module with `dataset` and `reference_images(split, n)`")


class Figure(Callback, ABC):
    """Draws after the validation of every `every_n_epochs`-th epoch, and of the last, into TensorBoard and `figures/`."""

    needs: ClassVar[tuple[type | UnionType, ...]]

    def __init__(self, every_n_epochs: int = 1) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        self.every_n_epochs = every_n_epochs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        check_needs(type(self).__name__, self.needs, trainer, pl_module)
        self.folder = Path(trainer.log_dir or trainer.default_root_dir) / "figures"  # here, for log_dir is collective

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        due = epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs
        if not due or trainer.sanity_checking or trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        with looking(pl_module):
            for tag, picture in self.draw(trainer, pl_module):
                self._write(trainer, tag, picture)

    @abstractmethod
    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        """Tags and pictures, (H, W, 3) uint8."""

    def _write(self, trainer: Trainer, tag: str, picture: np.ndarray) -> None:
        file = self.folder / tag / f"epoch_{trainer.current_epoch + 1:04d}.png"
        with replacing(file) as part:
            Image.fromarray(picture).save(part, format="png")
        # The step that Lightning's loggers give to this validation: batches seen, whatever the number of optimisers.
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(tag, picture, step, dataformats="HWC")
                logger.experiment.flush()


def caption(trainer: Trainer, what: str) -> str:
    return f"{what} | {trainer.datamodule.dataset}, epoch {trainer.current_epoch + 1}"
