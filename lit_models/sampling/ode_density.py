r"""The density of what a flow makes of noise, by the change of variables along its path.

.. math:: \log p_1(x_1) = \log N(x_0; 0, I) - \int_0^1 \operatorname{div} v(x_t, t)\, dt, \qquad
          \operatorname{div} v = E_e\, e^T \frac{\partial v}{\partial x} e

with random signs e: the trace of a large Jacobian is estimated from one product per e, and with all unit vectors it is exact.

Reference: Grathwohl et al., FFJORD, 2019, equations 4 and 7. https://arxiv.org/abs/1810.01367
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from lit_models.sampling.ode import Velocity, integrate


def log_density(velocity: Velocity, points: Tensor, times: Sequence[float], probes: Tensor) -> Tensor:
    """Log-density in nats, (B,), of `points` (B, ...) at the first of `times`, if they are standard normal at the last.

    Args:
        velocity: v(x, t), differentiable with respect to x, without a dependence between the points of a batch.
        times: Where Heun's method looks, falling.
        probes: (K, B, ...). The mean of e^T J e over the K probes stands for the divergence.
    """
    state = torch.cat([points.flatten(1), torch.zeros_like(points.flatten(1)[:, :1])], dim=1)  # the last column: the integral
    with_divergence = _with_divergence(velocity, points.shape, probes)
    for now, then in pairwise(times):
        state = integrate(with_divergence, state, 1, "heun", begin=now, end=then)
    noise, integral = state[:, :-1], state[:, -1]
    return -0.5 * (noise.square() + math.log(2 * math.pi)).sum(dim=1) + integral


def random_signs(points: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    """Probes (number, B, ...) of -1 and 1, whose estimate of the divergence has the least variance of independent ones."""
    signs = torch.randint(2, (number, *points.shape), generator=generator)
    return (2 * signs - 1).to(points)


def unit_vectors(points: Tensor) -> Tensor:
    """Probes (D, B, ...) for which the divergence is exact: all D unit vectors, times the root of D, because of the mean."""
    size = points[0].numel()
    basis = math.sqrt(size) * torch.eye(size, dtype=points.dtype, device=points.device)
    return basis.view(size, 1, *points.shape[1:]).expand(size, *points.shape)


def _with_divergence(velocity: Velocity, shape: torch.Size, probes: Tensor) -> Callable[[Tensor, float], Tensor]:
    """Velocities and their divergences, (B, D + 1), of such a state."""

    def both(state: Tensor, time: float) -> Tensor:
        with torch.enable_grad():
            points = state[:, :-1].view(shape).detach().requires_grad_()
            found = velocity(points, time)
            products = [(torch.autograd.grad(found, points, probe, retain_graph=True)[0] * probe).flatten(1).sum(dim=1) for probe in probes]
        return torch.cat([found.detach().flatten(1), torch.stack(products).mean(dim=0)[:, None]], dim=1)

    return both
