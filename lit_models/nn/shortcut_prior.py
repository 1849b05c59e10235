"""Flow matching over codes that also learns long steps: a code is drawn in one step, or in 2, 4, 8 or 16.

`lit_models.sampling.shortcut` has the equations and the reference.
"""

from functools import partial

import torch
from torch import Generator, Tensor

from lit_models.nn.flow_prior import FlowPrior
from lit_models.nn.velocity import Velocity
from lit_models.sampling.labels import labels_for
from lit_models.sampling.shortcut import STEPS, TAUGHT, of_two_steps, random_level, random_times, shortcut_states
from lit_models.sampling.temperature import checked_temperature


class ShortcutPrior(FlowPrior):
    """A `FlowPrior` whose network is also told the length of a step. It has no guidance, and draws in one step by default."""

    name = "shortcut"

    def __init__(self, width: int, classes: int | None, steps: int = 1, hidden: int = 256, decay: float = 0.999) -> None:
        super().__init__(width, classes, steps, decay=decay, velocity=Velocity(width, classes, hidden, levels=len(STEPS)))
        del self.guidance

    def loss(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """As that of a flow; in training the first quarter of the batch has the squared error of the mean velocity over a longer step."""
        n = len(codes) // TAUGHT if self.training else 0
        velocity = super().loss(codes[n:], None if labels is None else labels[n:])
        return torch.cat([self._shortcut_loss(codes[:n], None if labels is None else labels[:n]), velocity]) if n else velocity

    def _shortcut_loss(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        codes = self.scale.standardise(codes)
        level = random_level()
        times, tokens = random_times(codes, level), self._tokens(labels, codes)
        state = torch.lerp(torch.randn_like(codes), codes, times[:, None])
        asked = of_two_steps(partial(self._mean_velocity, tokens), state, times, level)
        return (self.velocity(state, times, tokens, level) - asked).square().sum(dim=1)

    def _mean_velocity(self, tokens: Tensor, codes: Tensor, times: Tensor, level: int) -> Tensor:
        return self.averaged_velocity(codes, times, tokens, level)

    @torch.no_grad()
    def draw(
        self,
        n: int,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        temperature: float = 1.0,
        *,
        steps: int | None = None,
    ) -> Tensor:
        """`n` codes, (n, D); without labels those of the flow without a label. The noise at time 0 is multiplied by the temperature.

        Raises:
            ValueError: For labels that do not fit, and for another number of steps than 1, 2, 4, 8 or 16.
        """
        asked = labels_for(n, labels, self.classes)
        noise = checked_temperature(temperature) * torch.randn(n, self.width, generator=generator).to(self.scale.mean)
        velocity = partial(self._mean_velocity, self._tokens(asked, noise))
        *_, codes = shortcut_states(velocity, noise, self.steps if steps is None else steps)
        return self.scale.restore(codes)
