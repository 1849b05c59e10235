"""Parts of a model that are fitted once, to the training images, before the first step."""

from typing import Protocol

from lightning.pytorch import Trainer
from torch import Tensor

from lit_models.training.fixed_images import training_images


class FittedBeforeTraining(Protocol):
    """Its state is in buffers; `fitted` says whether it has been fitted."""

    fitted: Tensor


def images_to_fit(part: FittedBeforeTraining, trainer: Trainer) -> tuple[Tensor, Tensor | None] | None:
    """Training images and labels, or None where nothing is to be fitted.

    Nothing is fitted on processes other than the first, because DDP broadcasts the buffers, and nothing if the weights come from a
    checkpoint, because they hold a fit.
    """
    if part.fitted or trainer.ckpt_path or not trainer.is_global_zero:
        return None
    return training_images(trainer)
