"""Keeps the codes of 10,000 fixed training images beside the weights that encoded them."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.figures.figure import looking
from lit_models.contracts import CanEncode, HasCodebook, HasReferenceImages, HasTrainingCodes

IMAGES = 10_000


class KeepTrainingCodes(Callback):
    """Encodes anew before each validation and each save, if the weights have moved since.

    Every process does so for itself: the result is the same on all, and no process waits for another. A model without
    `encode` or without `training_codes` is left alone.
    """

    def __init__(self) -> None:
        self._encoded_at: int | None = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._refresh(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._refresh(trainer, pl_module):
            # Lightning has copied the weights already; the codes of these very weights belong to them.
            checkpoint["state_dict"]["training_codes._extra_state"] = pl_module.training_codes.get_extra_state()

    def _refresh(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        able = isinstance(pl_module, CanEncode) and isinstance(pl_module, HasTrainingCodes)
        if not able or not isinstance(trainer.datamodule, HasReferenceImages):
            return False
        if trainer.global_step == 0:  # what an untrained encoder says is worth nothing, and its time would delay the first step
            return False
        if self._encoded_at != trainer.global_step:
            images, labels = trainer.datamodule.reference_images("train", IMAGES)
            encode = pl_module.indices if isinstance(pl_module, HasCodebook) else pl_module.encode
            with looking(pl_module):
                codes = torch.cat([encode(part.to(pl_module.device, pl_module.dtype)) for part in images.split(500)])
            pl_module.training_codes.keep(codes, labels)
            self._encoded_at = trainer.global_step
        return True
