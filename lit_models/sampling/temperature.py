"""The temperature of a sampler: below 1 samples vary less, and above 1 they vary more."""

import math

from torch import Tensor


def checked_temperature(temperature: float | None, default: float = 1.0) -> float:
    """The temperature asked for, or the default if it is None.

    Raises:
        ValueError: If it is not a finite number above 0.
    """
    found = default if temperature is None else temperature
    if not (math.isfinite(found) and found > 0):
        raise ValueError(f"temperature expected a finite number above 0, got {found}")
    return found


def tempered(logits: Tensor, temperature: float) -> Tensor:
    r"""Probabilities :math:`p_k^{1/T} / \sum_j p_j^{1/T}`, where p is the softmax of the logits, (..., K).

    The largest logit becomes 0 before the division, so that a small T does not overflow. T is kept in the range of float32: at 1e-30 only
    the largest logit is left anyway, and at 1e30 all that are finite are alike.
    """
    if temperature == 1:
        return logits.softmax(dim=-1)
    return ((logits - logits.amax(dim=-1, keepdim=True)) / min(max(temperature, 1e-30), 1e30)).softmax(dim=-1)
