r"""Flow matching over codes: a velocity field that carries noise to the codes of training images.

With noise :math:`e \sim N(0, I)`, a standardised code z and :math:`z_t = (1 - t)\, e + t\, z`, the network v minimises

.. math:: E\, \| v(z_t, t, y) - (z - e) \|^2

over times t whose logit is standard normal. Samples solve :math:`dz/dt = v(z, t, y)` from t = 0 to 1. A tenth of the labels is left out in
training, so that the network also knows the velocity without a label, which guidance needs.

Reference: Lipman et al., Flow Matching for Generative Modeling, 2023, https://arxiv.org/abs/2210.02747; Liu et al., Flow Straight and Fast,
2023, https://arxiv.org/abs/2209.03003. Times: Esser et al., Scaling Rectified Flow Transformers, 2024, section 3.1,
https://arxiv.org/abs/2403.03206. Guidance: Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598.
"""

import math
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.func import jacrev, vmap

from lit_models.nn.code_scale import CodeScale
from lit_models.nn.velocity import Velocity
from lit_models.sampling.guidance import LEFT_OUT, checked_guidance
from lit_models.sampling.labels import labels_for
from lit_models.sampling.ode import integrate
from lit_models.sampling.temperature import checked_temperature
from lit_models.training.averages import averaged

DENSITY_STEPS = 10
GUIDED_FROM = 0.5  # the time from which guidance above 1 acts: on the whole way codes vary less


class FlowPrior(nn.Module):
    """A `lit_models.contracts.CodeDistribution` over codes (N, D). Samples and densities use averaged weights.

    Args:
        width: D.
        classes: The number of labels; None for codes of images without labels.
        steps: Steps of Heun's method that a draw takes by default.
        hidden: Width of the network.
        decay: Decay of the moving average of the weights.
        velocity: The network, by default one that is told labels.
    """

    name = "flow"

    def __init__(
        self,
        width: int,
        classes: int | None,
        steps: int = 16,
        guidance: float = 1.0,
        hidden: int = 256,
        decay: float = 0.999,
        velocity: Velocity | None = None,
    ) -> None:
        super().__init__()
        self.width, self.classes, self.steps, self.guidance = width, classes, steps, guidance
        self.scale = CodeScale(width, classes)
        self.velocity = Velocity(width, classes, hidden) if velocity is None else velocity
        self.averaged_velocity = averaged(self.velocity, decay)

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.velocity

    def loss(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """The squared error of the velocity at a random time, (B, D) and (B,) to (B,), summed over the standardised code.

        In training it is that of the network, in evaluation that of the averaged weights. Noise, times and the labels that are left out
        come from torch's default generator.
        """
        codes = self.scale.standardise(codes)
        noise, times = torch.randn_like(codes), torch.randn_like(codes[:, 0]).sigmoid()
        tokens = self._tokens(labels, codes)
        if self.training:
            left_out = (torch.rand_like(times) < LEFT_OUT).view(-1, *[1] * (tokens.ndim - 1))
            tokens = torch.where(left_out, self._no_label, tokens)
        network = self.velocity if self.training else self.averaged_velocity
        between = torch.lerp(noise, codes, times[:, None])
        return (network(between, times, tokens) - (codes - noise)).square().sum(dim=1)

    def after_step(self) -> None:
        """Take the weights of the last step into the average."""
        self.averaged_velocity.update_parameters(self.velocity)

    @property
    def _no_label(self) -> int:
        return self.classes or 0

    def _tokens(self, labels: Tensor | None, codes: Tensor) -> Tensor:
        if labels is None or self.classes is None:
            return torch.full((len(codes),), self._no_label, device=codes.device)
        return labels.to(codes.device)

    def _read(self, tokens: Tensor) -> Tensor:
        """What the network makes of tokens, if that takes time; it takes the result in their place."""
        return tokens

    def guided(self, codes: Tensor, time: float, tokens: Tensor, free: Tensor, guidance: float) -> Tensor:
        r"""The velocity :math:`v(z, t) + g\, (v(z, t, y) - v(z, t))`, (N, D): g = 1 is that of the label, and g = 0 that without one.

        Guidance above 1 is none (1) before the time `GUIDED_FROM` (Kynkaanniemi et al., Applying Guidance in a Limited Interval Improves
        Sample and Distribution Quality in Diffusion Models, 2024, https://arxiv.org/abs/2404.07724).

        Args:
            tokens, free: The labels y, and no labels.
        """
        times = codes.new_full((len(codes),), time)
        guidance = min(guidance, 1.0) if time < GUIDED_FROM else guidance
        if guidance == 1:
            return self.averaged_velocity(codes, times, tokens)
        without = self.averaged_velocity(codes, times, free)
        if guidance == 0:
            return without
        return torch.lerp(without, self.averaged_velocity(codes, times, tokens), guidance)

    @torch.no_grad()
    def draw(
        self,
        n: int,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        temperature: float = 1.0,
        *,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """`n` codes, (n, D); without labels those of the flow without a label. The noise at time 0 is multiplied by the temperature.

        Raises:
            ValueError: For labels that do not fit, for less than one step, and for guidance that is not finite or below 0.
        """
        guidance = checked_guidance(guidance, self.guidance)
        asked = labels_for(n, labels, self.classes)
        noise = checked_temperature(temperature) * torch.randn(n, self.width, generator=generator).to(self.scale.mean)
        tokens = self._tokens(asked, noise)
        return self._from_noise(noise, tokens, guidance if asked is not None else 1.0, steps)

    def _from_noise(self, noise: Tensor, tokens: Tensor, guidance: float, steps: int | None) -> Tensor:
        """The codes of noise (N, D), after `steps` of Heun's method."""
        with torch.no_grad():
            told, free = self._read(tokens), self._read(torch.full_like(tokens, self._no_label))
            codes = integrate(lambda z, t: self.guided(z, t, told, free, guidance), noise, self.steps if steps is None else steps)
        return self.scale.restore(codes)

    @torch.no_grad()
    def log_density(self, codes: Tensor, labels: Tensor | None = None, steps: int = DENSITY_STEPS) -> Tensor:
        r"""Log-density of codes (N, D) given labels (N,), in nats, (N,); without labels that of the flow without a label.

        .. math:: \log p(z_1) = \log N(z_0; 0, I) - \int_0^1 \operatorname{tr} \frac{\partial v}{\partial z}(z_t, t)\, dt

        The path is followed from the code back to its noise, and the trace is exact (Chen et al., Neural Ordinary Differential Equations,
        2018, equation 8, https://arxiv.org/abs/1806.07366). So the error is that of the solver with this number of steps.
        """
        found = []
        for rows in torch.arange(len(codes)).split(250):
            part = self.scale.standardise(codes[rows].to(self.scale.mean))
            tokens = self._read(self._tokens(None if labels is None else labels[rows], part))
            # The last column is the integral of the trace.
            start = torch.cat([part, torch.zeros_like(part[:, :1])], dim=1)
            end = integrate(partial(self._with_trace, tokens), start, steps, begin=1.0, end=0.0)
            noise, trace = end[:, :-1], end[:, -1]
            normal = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(dim=1)
            found.append(normal + trace - self.scale.log_volume())
        return torch.cat(found)

    def _with_trace(self, tokens: Tensor, state: Tensor, time: float) -> Tensor:
        """Velocities and their divergences, (N, D + 1)."""
        codes, moment = state[:, :-1], state.new_full((1,), time)

        def velocity(code: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
            found = self.averaged_velocity(code[None], moment, token[None])[0]
            return found, found

        jacobian, found = vmap(jacrev(velocity, has_aux=True))(codes, tokens)
        return torch.cat([found, jacobian.diagonal(dim1=1, dim2=2).sum(dim=1, keepdim=True)], dim=1)
