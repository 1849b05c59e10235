"""Learning-rate schedules as functions of the step; their length stands in the config, not in the trainer.

A run can therefore be stopped and prolonged: past its end a schedule stays at its floor.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

FLOOR = 0.02


def warmup_cosine(step: int, steps: int, warmup: int = 100) -> float:
    """Factor on the learning rate: linear from 0 to 1, half a cosine down to 0.02 at `steps`, then constant."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def adam(parameters: Iterable[nn.Parameter], lr: float, steps: int, betas: tuple[float, float] = (0.9, 0.95)) -> Any:
    """Adam under `warmup_cosine`, one step of the schedule a batch: what `configure_optimizers` returns."""
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=betas, fused=True)
    schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def set_base_rates(schedule: LambdaLR, rates: list[float]) -> None:
    """Give the groups of a schedule's optimiser these learning rates, times its factor at the step where it stands.

    An optimiser that is restored from a checkpoint brings those with which it was saved.
    """
    schedule.base_lrs = list(rates)
    for group, rate, factor in zip(schedule.optimizer.param_groups, rates, schedule.lr_lambdas, strict=True):
        group["initial_lr"], group["lr"] = rate, rate * factor(schedule.last_epoch)
