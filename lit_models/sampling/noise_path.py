r"""The path from noise to images that a flow follows: :math:`x_t = \alpha(t)\, x + \sigma(t)\, e`, noise e at t = 0, an image at t = 1.

- `linear`: :math:`\alpha = t,\; \sigma = 1 - t` (Liu et al., Flow Straight and Fast, 2023, https://arxiv.org/abs/2209.03003);
- `cosine`: :math:`\alpha = \sin(\pi t / 2),\; \sigma = \cos(\pi t / 2)`, which keeps the variance: the path of a diffusion model (Ho et
  al., Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, with the schedule of Nichol & Dhariwal, 2021).
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

Path = Literal["linear", "cosine"]
LEAST_NOISE = 0.05  # sigma in the weight of a loss is never less


class NoisePath:
    """Functions of the time t, a number or a tensor; ValueError if there is no path of this name."""

    def __init__(self, name: Path) -> None:
        if name not in get_args(Path):
            raise ValueError(f"path must be one of {', '.join(get_args(Path))}, got {name!r}")
        self.name = name

    def coefficients(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Alpha, sigma, and their derivatives with respect to t."""
        if self.name == "linear":
            return times, 1 - times, torch.ones_like(times), -torch.ones_like(times)
        angle, speed = times * (math.pi / 2), math.pi / 2
        return angle.sin(), angle.cos(), speed * angle.cos(), -speed * angle.sin()

    def time_of(self, noise: float) -> float:
        """The time at which sigma is `noise`."""
        return 1 - noise if self.name == "linear" else 2 / math.pi * math.acos(noise)

    def between(self, noise: Tensor, images: Tensor, times: Tensor) -> Tensor:
        """x_t of noise and images (B, ...) at times (B,)."""
        alpha, sigma, _, _ = self.coefficients(expand(times, images))
        return alpha * images + sigma * noise

    def noise_in(self, noisy: Tensor, clean: Tensor, times: Tensor) -> Tensor:
        """The noise in x_t, (B, ...), if x is `clean`."""
        alpha, sigma, _, _ = self.coefficients(expand(times, noisy))
        return (noisy - alpha * clean) / sigma.clamp_min(1e-6)

    def velocity(self, noisy: Tensor, clean: Tensor, times: Tensor) -> Tensor:
        r""":math:`dx_t/dt = \alpha'(t)\, x + \sigma'(t)\, e` at x_t, (B, ...), if x is `clean`."""
        _, _, alpha_speed, sigma_speed = self.coefficients(expand(times, noisy))
        return alpha_speed * clean + sigma_speed * self.noise_in(noisy, clean, times)

    def weight(self, times: Tensor) -> Tensor:
        """The squared error of a velocity divided by that of the clean image that it is computed from, (B,), bounded where noise ends."""
        alpha, sigma, alpha_speed, sigma_speed = self.coefficients(times)
        return (alpha_speed - sigma_speed * alpha / sigma.clamp_min(LEAST_NOISE)).square()


def expand(times: Tensor, like: Tensor) -> Tensor:
    """Times (B,) that multiply tensors (B, ...)."""
    return times.view(-1, *[1] * (like.ndim - 1))
