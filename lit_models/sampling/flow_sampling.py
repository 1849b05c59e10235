"""How flows in pixels are sampled: the differential equation from noise to images is solved, and its density too."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Generator, Tensor

from lit_models.sampling.guidance import checked_guidance
from lit_models.sampling.labels import labels_for
from lit_models.sampling.noise_path import NoisePath
from lit_models.sampling.ode import check_steps, integrate
from lit_models.sampling.ode_density import log_density, random_signs, unit_vectors
from lit_models.sampling.shortcut import shortcut_states
from lit_models.sampling.temperature import checked_temperature

AT_ONCE = 500  # images that are sampled together
LAST_NOISE = 0.01  # sigma where the path of a likelihood begins: at 0 the velocity is not defined
LIKELIHOOD_STEPS = 32


class FlowSampling:
    """The verbs of sampling for models that remove noise.

    A model that uses it has `denoise`, `path`, `solver`, `shortcut`, `image_shape`, `classes`, and the defaults `steps` and
    `default_guidance`.
    """

    classes: int | None
    path: NoisePath
    solver: str
    shortcut: bool
    steps: int
    default_guidance: float

    @property
    def guidance(self) -> float:
        """The guidance by default; a model without labels has none, and one with shortcuts has learned it."""
        if self.classes is None or self.shortcut:
            raise AttributeError("a flow without labels or with shortcuts has no guidance")
        return self.default_guidance

    def mean_velocity(self: Any, tokens: Tensor, noisy: Tensor, times: Tensor, level: int) -> Tensor:
        """dx/dt at x_t (B, C, H, W) on average over a step of a level from times (B,) on, with the guidance that the model learns."""
        return self.path.velocity(noisy, self.denoise(noisy, times, tokens, self.default_guidance, level), times)

    def velocity(self: Any, tokens: Tensor, guidance: float, noisy: Tensor, time: float) -> Tensor:
        """dx/dt at x_t (B, C, H, W) at one time."""
        times = noisy.new_full((len(noisy),), time)
        return self.path.velocity(noisy, self.denoise(noisy, times, tokens, guidance), times)

    @torch.no_grad()
    def sample(
        self: Any,
        n: int = 1,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        *,
        temperature: float | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """Images from noise, whose standard deviation is the temperature, 1 by default. Without labels all classes are equally likely.

        Args:
            steps, guidance: By default those of the model.
        Raises:
            ValueError: For guidance of a model without labels or with shortcuts.
        """
        parts = [deque(states, maxlen=1).pop() for states in self._drawn(n, labels, generator, temperature, steps, guidance)]
        return as_images(torch.cat(parts))

    @property
    def noise_shape(self: Any) -> tuple[int, ...]:
        return self.image_shape

    @torch.no_grad()
    def from_noise(self: Any, noise: Tensor) -> Tensor:
        """Images of noise (B, C, H, W) without labels and without guidance, (B, C, H, W)."""
        free = torch.full((len(noise),), self.classes or 0, device=self.device)
        *_, images = self.states(noise, free)
        return as_images(images)

    @torch.no_grad()
    def trajectory(
        self: Any,
        n: int = 1,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        *,
        temperature: float | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """The noise, and what becomes of it after each step, (n, steps + 1, C, H, W) in [0, 1]; the last images are those of `sample`."""
        noise_first = self._drawn(n, labels, generator, temperature, steps, guidance, with_noise=True)
        return as_images(torch.cat([torch.stack(list(states), dim=1) for states in noise_first]))

    def _drawn(
        self: Any,
        n: int,
        labels: Tensor | int | None,
        generator: Generator | None,
        temperature: float | None,
        steps: int | None,
        guidance: float | None,
        with_noise: bool = False,
    ) -> Iterator[Iterable[Tensor]]:
        """The states of the solver, of `AT_ONCE` images each time."""
        if guidance is not None and self.classes is None:
            raise ValueError("guidance expected a model of labelled images, got one without labels: leave it out")
        if guidance is not None and self.shortcut:
            learned = f"got one with shortcuts, which has learned guidance {self.default_guidance:g}"
            raise ValueError(f"guidance expected a model without shortcuts, {learned}: leave it out")
        strength = checked_guidance(guidance, self.default_guidance)
        asked = labels_for(n, labels, self.classes)
        if asked is None:
            asked = torch.randint(self.classes or 1, (n,), generator=generator)
        noise = checked_temperature(temperature) * torch.randn(n, *self.image_shape, generator=generator)
        for part, tokens in zip(noise.split(AT_ONCE), asked.split(AT_ONCE), strict=True):
            start = part.to(self.device, self.dtype)
            states = self.states(start, tokens.to(self.device), strength, steps)
            yield chain([start], states) if with_noise else states

    def states(self: Any, start: Tensor, tokens: Tensor, guidance: float = 1.0, steps: int | None = None) -> Iterator[Tensor]:
        """What becomes of noise (B, C, H, W) after each step of the solver; the last state is an image in [-1, 1].

        The last step of `heun` is one of `euler`: at t = 1, where it would look, the velocity is not defined, and without noise the
        predicted image is the solution.
        """
        state, steps = start, check_steps(self.steps if steps is None else steps)
        if self.shortcut:
            yield from shortcut_states(partial(self.mean_velocity, tokens), start, steps)
            return
        times = torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()
        for now, then in pairwise(times):
            if self.solver == "ddim":
                moment, after = (state.new_full((len(state),), time) for time in (now, then))
                clean = self.denoise(state, moment, tokens, guidance)
                state = self.path.between(self.path.noise_in(state, clean, moment), clean, after)
            else:
                solver: Any = "euler" if self.solver == "heun" and then == 1 else self.solver
                state = integrate(partial(self.velocity, tokens, guidance), state, 1, solver, begin=now, end=then)
            yield state

    @torch.no_grad()
    def log_likelihood(
        self: Any, images: Tensor, generator: Generator | None = None, *, steps: int = LIKELIHOOD_STEPS, probes: int | None = 1
    ) -> Tensor:
        r"""A lower bound of the log-probability of images with 256 grey levels, without their labels, in nats, (B,).

        .. math:: \log P(x) \ge E_u \log p(x + u) + D \log \tfrac{2}{255}

        with u uniform within a grey level of width 2 / 255 (Theis et al., A Note on the Evaluation of Generative Models, 2016, section 3.1,
        https://arxiv.org/abs/1511.01844), and p the density of the flow where its noise has fallen to `LAST_NOISE`, by the path of x + u
        back to noise (`lit_models.sampling.ode_density`).

        Args:
            generator: Of u and of the probes.
            steps: Of Heun's method, in equal ratios of the noise.
            probes: For the divergence, per image; None makes it exact, by as many products as there are pixels.
        """
        width = 2 / 255  # of a grey level in [-1, 1]
        within = torch.rand(images.shape, generator=generator).to(images) - 0.5
        points = 2 * images - 1 + width * within
        noises = torch.logspace(math.log10(LAST_NOISE), 0, check_steps(steps) + 1, dtype=torch.float64).clamp_max(1.0).tolist()
        times = [self.path.time_of(noise) for noise in noises]
        free = torch.full((len(images),), self.classes or 0, device=self.device)
        signs = unit_vectors(points) if probes is None else random_signs(points, probes, generator)
        found = log_density(partial(self.velocity, free, 1.0), points, times, signs)
        return found + images[0].numel() * math.log(width)


def as_images(state: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]."""
    return (state / 2 + 0.5).clamp(0, 1)
