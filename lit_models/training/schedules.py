"""Learning-rate schedules as functions of the step.

The length of a schedule is an argument of the model. By default it is the number of steps of the training when the run is first started. It
is stored in the checkpoint, so that a run can be stopped, resumed and prolonged: past its end a schedule stays at its floor.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

FLOOR = 0.02


def warmup_cosine(step: int, steps: int, warmup: int = 100) -> float:
    """Factor on the learning rate: linear from 0 to 1, half a cosine down to 0.02 at `steps`, then constant."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


class WarmupCosine:
    """A factor on the learning rate: `warmup_cosine` from step `start` on.

    Before `start` the factor is 0. If the schedule `ends`, it is also 0 from step `start + steps` on. LambdaLR stores the attributes of
    this object in the checkpoint and restores them on resume. So `steps` may be None until then.
    """

    def __init__(self, steps: int | None, start: int = 0, ends: bool = False) -> None:
        self.steps, self.start, self.ends = steps, start, ends

    def __call__(self, step: int) -> float:
        steps = self.steps or 0
        if step < self.start or (self.ends and step >= self.start + steps):
            return 0.0
        return warmup_cosine(step - self.start, steps)


def training_steps(module: LightningModule) -> int | None:
    """The number of steps of the training as the Trainer has been asked for it; None on resume, where the checkpoint knows it.

    Raises:
        ValueError: If the training has no end.
    """
    trainer = module.trainer
    if trainer.ckpt_path:  # Lightning would drop the state of the loader (its issue 20550)
        return None
    steps = trainer.estimated_stepping_batches
    if not math.isfinite(steps) or steps < 1:
        raise ValueError(
            f"expected a training of finite length for the learning rate, got {steps} steps: set max_epochs, or the model's steps"
        )
    return int(steps)


def adam(parameters: Iterable[nn.Parameter], lr: float, steps: int | None, betas: tuple[float, float] = (0.9, 0.95)) -> Any:
    """Adam under `WarmupCosine`, with one step of the schedule per batch: what `configure_optimizers` returns."""
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=betas, fused=True)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, WarmupCosine(steps)), "interval": "step"}}


def set_base_rates(schedule: LambdaLR, rates: list[float]) -> None:
    """Give the groups of a schedule's optimiser these learning rates, times its factor at the current step.

    An optimiser that is restored from a checkpoint keeps the learning rates with which it was saved.
    """
    schedule.base_lrs = list(rates)
    for group, rate, factor in zip(schedule.optimizer.param_groups, rates, schedule.lr_lambdas, strict=True):
        group["initial_lr"], group["lr"] = rate, rate * factor(schedule.last_epoch)
