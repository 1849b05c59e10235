r"""How probable test images are under a model whose codes have to be integrated out.

.. math:: -\log p(x) \le -E_{z_1 \dots z_K \sim q(z|x)} \Big[ \log \tfrac1K \textstyle\sum_k \frac{p(x|z_k)\, p(z_k)}{q(z_k|x)} \Big]

A bound for every K, tighter the larger K is, and equal to the negative evidence lower bound for K = 1; with the exact posterior for q all
weights are p(x), and one draw is enough.

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
        log_weights: Of so many draws for each image, :math:`\log p(x|z) + \log p(z) - \log q(z|x)`, (B, 1, 28, 28) to (B, draws), as
            `VAE.log_weights`.
        images: (N, 1, 28, 28).
        k: Draws for an image.
        at_once: Draws for all images of a part together.
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
