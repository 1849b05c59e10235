r"""Solvers of :math:`dx/dt = v(x, t)` in equal steps: what flows are sampled with.

The error of a step of length h is of order h^2 for `euler`, and h^3 for `midpoint` and `heun`, which evaluate the velocity twice.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor

Solver = Literal["euler", "midpoint", "heun"]
Velocity = Callable[[Tensor, float], Tensor]  # of x (B, ...) at a time


def check_steps(steps: int) -> int:
    """The number of steps; ValueError if it is below 1."""
    if steps < 1:
        raise ValueError(f"steps expected at least 1, got {steps}")
    return steps


def integrate(velocity: Velocity, start: Tensor, steps: int, solver: Solver = "heun", begin: float = 0.0, end: float = 1.0) -> Tensor:
    """The value at time `end` of the path that has the value `start` at time `begin`, (B, ...).

    Args:
        velocity: v(x, t), for all values of a batch at one time.
        steps: Number of steps of equal length; `begin` may lie after `end`.
    Raises:
        ValueError: If there is no solver of this name, or if there are less than 1 steps.
    """
    if solver not in get_args(Solver):
        raise ValueError(f"solver must be one of {', '.join(get_args(Solver))}, got {solver!r}")
    times = torch.linspace(begin, end, check_steps(steps) + 1, dtype=torch.float64).tolist()
    state = start
    for now, then in pairwise(times):
        length, first = then - now, velocity(state, now)
        if solver == "euler":
            state = state + length * first
        elif solver == "midpoint":
            state = state + length * velocity(state + 0.5 * length * first, now + 0.5 * length)
        else:
            state = state + 0.5 * length * (first + velocity(state + length * first, then))
    return state
