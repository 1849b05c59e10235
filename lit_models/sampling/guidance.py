"""Classifier-free guidance: a network that knows the velocity with and without a label is led further towards the label.

Guidance while there is almost only noise makes images alike. So it can begin later on the way, at a time `guided_from`.

Reference: Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598; Kynkaanniemi et al., Applying Guidance
in a Limited Interval Improves Sample and Distribution Quality in Diffusion Models, 2024, https://arxiv.org/abs/2404.07724.
"""

import math

import torch
from torch import Tensor

LEFT_OUT = 0.1  # share of the labels that training leaves out, so that the network also knows the velocity without a label


def checked_guidance(guidance: float | None, default: float = 1.0) -> float:
    """The guidance asked for, or the default if it is None: 1 is none, and 0 ignores the labels.

    Raises:
        ValueError: If it is not a finite number of at least 0.
    """
    found = default if guidance is None else guidance
    if not (math.isfinite(found) and found >= 0):
        raise ValueError(f"guidance expected a finite number of at least 0, got {found}")
    return found


def guidance_at(times: Tensor, guidance: float, guided_from: float) -> Tensor:
    """The guidance at times (B,): guidance above 1 is none (1) before the time `guided_from`."""
    return torch.where(times < guided_from, min(guidance, 1.0), guidance)
