r"""Steps of any length in one evaluation of a network: shortcuts.

A network that is also told the length d of a step predicts the mean velocity s over it, :math:`x_{t+d} = x_t + d\, s(x_t, t, d)`. For the
shortest steps s is the velocity of the flow. A step that is twice as long is taught to lead where two steps lead:

.. math:: s(x_t, t, 2d) = \tfrac12 \big( s(x_t, t, d) + s(x_t + d\, s(x_t, t, d),\; t + d,\; d) \big)

Reference: Frans et al., One Step Diffusion via Shortcut Models, 2025, equations 4 and 5. https://arxiv.org/abs/2410.12557
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

STEPS = (16, 8, 4, 2, 1)  # for the whole path; the place in this tuple is the level that the network is told
TAUGHT = 4  # one of so many images of a batch is used to teach the longer steps

MeanVelocity = Callable[[Tensor, Tensor, int], Tensor]  # of x (B, ...) at times (B,), and a level


def level_of(steps: int) -> int:
    """The level of a number of steps; ValueError if it has none."""
    if steps not in STEPS:
        raise ValueError(f"steps of a model with shortcuts expected one of {', '.join(map(str, sorted(STEPS)))}, got {steps}")
    return STEPS.index(steps)


def shortcut_states(velocity: MeanVelocity, start: Tensor, steps: int) -> Iterator[Tensor]:
    """What becomes of `start` after each step."""
    state, level = start, level_of(steps)
    for number in range(steps):
        times = state.new_full((len(state),), number / steps)
        state = state + velocity(state, times, level) / steps
        yield state


def random_level() -> int:
    """A level of longer steps, from torch's default generator."""
    return int(torch.randint(1, len(STEPS), ()))


def random_times(like: Tensor, level: int) -> Tensor:
    """Times (B,) where steps of this level begin."""
    return (torch.rand(len(like), device=like.device) * STEPS[level]).floor() / STEPS[level]


@torch.no_grad()
def of_two_steps(velocity: MeanVelocity, state: Tensor, times: Tensor, level: int) -> Tensor:
    """The mean velocity over a step of this level, (B, ...), that two steps of the level below it have."""
    half = 0.5 / STEPS[level]
    first = velocity(state, times, level - 1)
    second = velocity(state + half * first, times + half, level - 1)
    return 0.5 * (first + second)
