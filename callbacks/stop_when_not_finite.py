"""Stops a run within a few steps of the first NaN or infinity, and before it is saved."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.utils import get_total_norm

from callbacks.keep_best_and_last import last_checkpoint


class NotFinite(ArithmeticError):
    """A loss term, gradient, weight or buffer contains NaN or infinity."""


class StopWhenNotFinite(Callback):
    """Checks loss terms, gradients, weights and buffers every `every_n_steps` steps, whenever values are logged, and before each save.

    Raises:
        NotFinite: With the first value that is not finite, the step and the learning rate. All saved checkpoints are finite.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}")
        self.every_n_steps = every_n_steps

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step % self.every_n_steps == 0 or trainer._logger_connector.should_update_logs:
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            check_finite(trainer, pl_module, loss)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        check_finite(trainer, pl_module)


def check_finite(trainer: Trainer, pl_module: LightningModule, loss: Tensor | None = None) -> None:
    named = [(f"loss term {name}", term) for name, term in getattr(pl_module, "last_terms", {}).items()]
    named += [] if loss is None else [("loss", loss.detach())]
    weights = list(pl_module.named_parameters())
    named += [(f"gradient of {name}", weight.grad) for name, weight in weights if weight.grad is not None]
    named += [(f"weight {name}", weight.detach()) for name, weight in weights]
    named += [(f"buffer {name}", buffer) for name, buffer in pl_module.named_buffers()]
    floating = [(name, value) for name, value in named if value.is_floating_point()]
    if torch.isfinite(get_total_norm([value for _, value in floating])):  # one number for all takes hardly any time
        return
    for name, value in floating:
        wrong = value[~torch.isfinite(value)]
        if len(wrong):
            groups = (group for optimizer in trainer.optimizers for group in optimizer.param_groups)
            rates = ", ".join(f"{rate:.3g}" for rate in sorted({group["lr"] for group in groups}))
            raise NotFinite(
                f"{name} is {float(wrong[0])} at step {trainer.global_step}, with learning rate {rates}:"
                f" lower it with --model.lr, then resume from {last_checkpoint(trainer)}, which is finite, or start anew"
            )
