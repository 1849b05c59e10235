"""Parts of a model that are fitted once, to the training images, before the first step."""

from typing import Protocol

from lightning.pytorch import Trainer
from torch import Tensor

from lit_models.contracts import HasImages


class Fitted(Protocol):
    """State is in buffers; `fitted` says whether it is there."""

    fitted: Tensor


def images_to_fit(part: Fitted, trainer: Trainer) -> tuple[Tensor, Tensor] | None:
    """Training images and labels, or None where nothing is to be fitted.

    That is on all processes but the first, for DDP hands the buffers on, and where weights to go on from hold a fit.

    Raises:
        TypeError: If the data module has no `images(split)`.
    """
    if part.fitted or trainer.ckpt_path or not trainer.is_global_zero:
        return None
    if not isinstance(trainer.datamodule, HasImages):
        raise TypeError(f"{type(part).__name__} needs a data module with `images(split)`, to be fitted to its training images")
    return trainer.datamodule.images("train")
