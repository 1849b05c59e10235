r"""Likelihood of test images under a model whose codes have to be integrated out, by importance sampling.

.. math:: -\log p(x) \le -E_{z_1 \dots z_K \sim q(z|x)} \Big[ \log \tfrac1K \textstyle\sum_k \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)} \Big]

This is a bound for every K. It is tighter the larger K is, and equals the negative evidence lower bound for K = 1. If q is the exact
posterior, all weights are p(x), and one draw is enough.

Reference: Burda et al., Importance Weighted Autoencoders, 2016, equation 8 and theorem 1, https://arxiv.org/abs/1509.00519.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

LogWeights = Callable[[Tensor, int, Generator | None], Tensor]


@torch.no_grad()
def importance_sampled_nats(
    log_weights: LogWeights, images: Tensor, k: int = 5000, generator: Generator | None = None, at_once: int = 5000
) -> tuple[float, float]:
    r"""The bound on :math:`-\log p(x)`, and its standard error over the images.

    Args:
        log_weights: Gives :math:`\log p(x|z) + \log p(z) - \log q(z|x)` of a number of draws per image, (B, C, H, W) to (B, draws), as
            `VAE.log_weights` does.
        images: (N, C, H, W).
        k: Draws per image.
        at_once: Number of draws that are computed together.
    Returns:
        Nats per image, and the standard error of their mean (NaN for one image).
    """
    draws = min(k, 50)
    rounds = [draws] * (k // draws) + [k % draws] * (k % draws > 0)
    found = []
    for part in images.split(max(1, at_once // draws)):
        sums = [log_weights(part, each, generator).double().logsumexp(dim=1) for each in rounds]
        found.append(math.log(k) - torch.stack(sums).logsumexp(dim=0))
    nats = torch.cat(found)
    return float(nats.mean()), float(nats.std() / math.sqrt(len(nats)))
