"""Classifier-free guidance: a network that knows the velocity with and without a label is led further towards the label.

Reference: Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598.
"""

import math

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
