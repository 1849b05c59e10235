"""The callback that stores codes of fixed training images with the weights that encoded them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lit_models.contracts import CanEncode, HasCodebook, HasTrainingCodes
from lit_models.sampling.evaluation_mode import evaluation_mode
from lit_models.training.fixed_images import fixed_images

IMAGES = 10_000
EXTRA_STATE = "training_codes._extra_state"


class KeepTrainingCodes(Callback):
    """Encodes 10,000 fixed training images before each validation, at each save and at the end of training, if the weights have changed.

    Models return this callback from `configure_callbacks`, so that their samplers work under any Trainer. Every process encodes for itself:
    the result is the same on all, and no process waits for another. A model without `encode` or without `training_codes` is left alone.
    """

    def __init__(self) -> None:
        self._encoded: tuple[int, float] | None = None
        self._images: tuple[Tensor, Tensor | None] | None = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._refresh(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # Lightning has copied the weights already, and a callback that averages weights may have put others in their place.
        with weights_in_place(pl_module, checkpoint["state_dict"]):
            if self._refresh(trainer, pl_module):
                checkpoint["state_dict"][EXTRA_STATE] = pl_module.training_codes.get_extra_state()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._refresh(trainer, pl_module)
        self._images = None

    def _refresh(self, trainer: Trainer, pl_module: Any) -> bool:
        able = isinstance(pl_module, CanEncode) and isinstance(pl_module, HasTrainingCodes)
        if not able:
            return False
        if trainer.global_step == 0:  # the codes of an untrained encoder are worth nothing, and would delay the first step
            return False
        weights = (trainer.global_step, sum(float(weight.detach().double().norm()) for weight in pl_module.parameters()))
        if weights != self._encoded:
            if self._images is None:
                self._images = fixed_images(trainer, "train", IMAGES)
            images, labels = self._images
            encode = pl_module.indices if isinstance(pl_module, HasCodebook) else pl_module.encode
            with evaluation_mode(pl_module):
                codes = torch.cat([encode(part.to(pl_module.device, pl_module.dtype)) for part in images.split(500)])
            pl_module.training_codes.keep(codes, labels)
            self._encoded = weights
        return True


@contextmanager
def weights_in_place(model: LightningModule, state: dict[str, Any]) -> Iterator[None]:
    """The model with the weights and buffers of a state dict, if these differ from its own; afterwards with its own again."""
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    others = {name: value for name, value in own.items() if name in state and not torch.equal(value, state[name].to(value.device))}
    kept = {name: value.clone() for name, value in others.items()}
    with torch.no_grad():
        for name, value in others.items():
            value.copy_(state[name])
        try:
            yield
        finally:
            for name, value in others.items():
                value.copy_(kept[name])
