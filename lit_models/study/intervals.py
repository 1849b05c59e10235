r"""Intervals of the measures of a study, by a bootstrap over seeds and samples.

A value is the mean over seeds. One draw takes as many seeds as there are, with replacement, and moves the value of each by its sampling
error. With the mean m over n seeds, values x, standard errors s and normal noise e, a draw is the mean over the seeds i that were taken of

.. math:: m + \sqrt{\tfrac{n}{n - 1}}\, (x_i - m) + s_i e_i

The factor makes the spread of few seeds as wide as that of many. One seed has a sampling error alone. The standard error of a share p of
N images is that of the binomial distribution, :math:`\sqrt{p (1 - p) / N}`; a kernel distance has its own. The interval goes from the 2.5th
to the 97.5th percentile of the draws. Draws of one system take the same seeds, so that its samplers are compared pair by pair.

Reference: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 4000


class Interval(NamedTuple):
    """A value with its lower and upper bound."""

    value: float
    low: float
    high: float


class Estimate(NamedTuple):
    """A value, and what it might have been with other seeds and samples, (DRAWS,)."""

    value: float
    draws: np.ndarray

    def interval(self) -> Interval:
        low, high = np.quantile(self.draws, (0.025, 0.975))
        return Interval(self.value, float(low), float(high))


def estimate(values: Sequence[float], errors: Sequence[float], system: str, name: str) -> Estimate:
    """The estimate of one measure.

    Args:
        values, errors: One value and one standard error per seed.
        system: Equal for measures of the same trainings.
        name: Equal for the same measure, whose noise is then the same.
    """
    x, s = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    n, mean = len(x), x.mean()
    if n == 1 and not s.any():
        return Estimate(float(mean), np.full(DRAWS, mean))
    taken = _generator(system).integers(n, size=(DRAWS, n))
    spread = math.sqrt(n / (n - 1)) if n > 1 else 0.0
    noise = _generator(f"{system} {name}").standard_normal((DRAWS, n))
    return Estimate(float(mean), (mean + spread * (x[taken] - mean) + s[taken] * noise).mean(axis=1))


def error_of_share(share: float, images: int) -> float:
    """The standard error of a share of images."""
    return math.sqrt(max(0.0, share * (1 - share)) / images)


def _generator(key: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
