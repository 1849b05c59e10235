"""Training in phases: one part of a model after the other, in one run and with one optimiser.

Each phase has a parameter group of its own. Outside its phase a group's learning rate is 0, so that its parameters do not move.
"""

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lit_models.training.schedules import WarmupCosine


def split_steps(total: int | None, lengths: list[int | None], shares: list[float]) -> list[int | None]:
    """The number of steps of each phase: as given, else its share of `total`; the last phase takes the rest.

    `total` None leaves the phases that are not given to be restored from a checkpoint.
    """
    if total is None:
        return list(lengths)
    found = [round(share * total) if length is None else length for length, share in zip(lengths, shares, strict=True)]
    if lengths[-1] is None:
        found[-1] = max(0, total - sum(found[:-1]))
    return list(found)


def phase_schedule(optimizer: Optimizer, steps: list[int | None]) -> LambdaLR:
    """A schedule whose k-th parameter group is trained in the k-th phase; the last phase has no end."""
    starts = [sum(length or 0 for length in steps[:number]) for number in range(len(steps))]
    last = len(steps) - 1
    return LambdaLR(
        optimizer,
        [WarmupCosine(length, start, ends=number < last) for number, (length, start) in enumerate(zip(steps, starts, strict=True))],
    )


def phase_of(module: LightningModule) -> int:
    """The number of the phase that the coming step belongs to, from 0 on."""
    return sum(module.global_step >= part.start for part in schedule_of(module).lr_lambdas[1:])


def phase_begins(module: LightningModule) -> bool:
    """Whether the coming step is the first of a later phase."""
    return any(module.global_step == part.start for part in schedule_of(module).lr_lambdas[1:])


def starts_of_phases(module: LightningModule) -> list[int]:
    """The first step of each phase; one phase for models without `phase_schedule`."""
    return [getattr(part, "start", 0) for part in getattr(_first_schedule(module), "lr_lambdas", [])] or [0]


def schedule_of(module: LightningModule) -> LambdaLR:
    """The schedule of a model's first optimiser, which has the groups of the phases."""
    schedule = _first_schedule(module)
    assert isinstance(schedule, LambdaLR)
    return schedule


def _first_schedule(module: LightningModule) -> Any:
    schedules = module.lr_schedulers()
    return schedules[0] if isinstance(schedules, list) else schedules


def forget_logged_values(trainer: Trainer) -> None:
    """Without this, Lightning would log the last losses of the earlier phase again and again."""
    trainer._results.clear()


def zero_of(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Zero, with a zero gradient for each of these parameters: DDP waits for all parameters at every step."""
    return 0.0 * torch.stack([parameter.sum() for parameter in parameters]).sum()
