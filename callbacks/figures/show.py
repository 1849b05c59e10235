"""The way of a picture out of a training: a PNG file, and every logger that shows pictures."""

from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image

from lit_models.checkpoints.files import replacing

FIRST = {"samples/grid": "images/samples", "reconstructions": "images/reconstructions"}  # TensorBoard sorts by name


def show(trainer: Trainer, folder: Path, tag: str, picture: np.ndarray) -> None:
    """Write a picture of this validation to `folder/TAG/epoch_NNNN.png`, and give it to the loggers.

    TensorBoard, Weights & Biases and MLflow show pictures. Other loggers, such as those of CSV files, get none: the files are there.

    Args:
        picture: (H, W, 3) uint8.
    """
    # The step that Lightning's loggers give to this validation: batches seen, whatever the number of optimisers.
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    inside = "" if trainer.is_last_batch else f"_step_{trainer.global_step:06d}"  # a validation within an epoch
    with replacing(folder / tag / f"epoch_{trainer.current_epoch + 1:04d}{inside}.png") as part:
        Image.fromarray(picture).save(part, format="png")
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(in_order(tag), picture, step, dataformats="HWC")
            logger.experiment.flush()
        elif isinstance(logger, WandbLogger):
            logger.log_image(tag, [picture], step)
        elif isinstance(logger, MLFlowLogger):
            logger.experiment.log_image(logger.run_id, picture, key=tag, step=step)


def in_order(tag: str) -> str:
    """The tag in TensorBoard: samples and reconstructions come before the curves (`train`, `val`), all other pictures after them."""
    return FIRST.get(tag, f"views/{tag}")
