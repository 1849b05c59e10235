r"""Objectives as plain functions: sums over pixels and codes, one value per image.

The caller averages over the batch, so that the values of all models are on one scale, that of a whole image.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, relu, softplus

Adversary = Literal["relativistic", "hinge", "non_saturating"]

MNIST_VARIANCE = 0.0949  # of MNIST's training pixels in [0, 1]: 0.3081 ** 2


def _check_same_shape(first: Tensor, second: Tensor, names: str) -> None:
    if first.shape != second.shape:  # broadcasting would hide the mistake
        raise ValueError(f"{names} must share a shape, got {tuple(first.shape)} and {tuple(second.shape)}")


def squared_error(reconstructions: Tensor, images: Tensor) -> Tensor:
    r"""Squared error per image, :math:`\sum_i (\hat x_i - x_i)^2`.

    Args:
        reconstructions, images: In [0, 1], (B, C, H, W).
    Returns:
        (B,), summed over pixels and colours; divided by their number it is the mean squared error per pixel.
    Raises:
        ValueError: If the shapes differ.
    """
    _check_same_shape(reconstructions, images, "reconstructions and images")
    return (reconstructions - images).square().flatten(1).sum(dim=1)


def bernoulli_loss(logits: Tensor, images: Tensor) -> Tensor:
    r"""Cross-entropy per image with independent Bernoulli pixels, :math:`-\sum_i x_i \log p_i + (1-x_i) \log(1-p_i)`.

    Args:
        logits: :math:`\log p_i/(1-p_i)`, (B, C, H, W).
        images: In [0, 1], (B, C, H, W).
    Returns:
        (B,), summed over pixels. Nats per image if the pixels are 0 or 1. On grey pixels it is a loss but no
        likelihood, because it has no normaliser there.
    Raises:
        ValueError: If the shapes differ.
    Reference:
        Kingma & Welling, Auto-Encoding Variational Bayes, 2014, appendix C.1. https://arxiv.org/abs/1312.6114
    """
    _check_same_shape(logits, images, "logits and images")
    return binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(dim=1)


def gaussian_nll(means: Tensor, images: Tensor, log_var: Tensor) -> Tensor:
    r"""Negative log-density per image under Gaussian pixels that share one variance.

    .. math:: \tfrac12 \textstyle\sum_i \left( (x_i - \mu_i)^2 / \sigma^2 + \log 2 \pi \sigma^2 \right)

    Args:
        means, images: In [0, 1], (B, C, H, W).
        log_var: :math:`\log \sigma^2`, a scalar.
    Returns:
        Nats per image, (B,). It is a density, so it may be negative.
    Raises:
        ValueError: If the shapes differ.
    Reference:
        Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders, 2021, equation 4.
        https://arxiv.org/abs/2006.13202
    """
    pixels = means[0].numel()
    return 0.5 * (squared_error(means, images) / log_var.exp() + pixels * (math.log(2 * math.pi) + log_var))


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    r"""KL divergence of a diagonal Gaussian from the standard normal.

    .. math:: \tfrac12 \textstyle\sum_d (\mu_d^2 + \sigma_d^2 - 1 - \log \sigma_d^2)

    Args:
        mean: Means, (B, D).
        log_var: Log-variances, (B, D).
    Returns:
        Nats per image, (B,).
    Raises:
        ValueError: If the shapes differ.
    Reference:
        Kingma & Welling, Auto-Encoding Variational Bayes, 2014, appendix B. https://arxiv.org/abs/1312.6114
    """
    _check_same_shape(mean, log_var, "mean and log_var")
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1)


def commitment_loss(
    vectors: Tensor, quantised: Tensor, pixels: int, variance: float = MNIST_VARIANCE, weight: float = 0.25, nats: bool = False
) -> Tensor:
    r"""Commitment loss of the encoder to its codes, on the scale of the reconstruction term that it is added to.

    The paper's objective is :math:`\mathrm{MSE} / \mathrm{var}(x) + 0.25\, \overline{(z - e)^2}`, both means over their elements.
    The reconstruction is a sum over P pixels here, so the whole is multiplied by :math:`P\, \mathrm{var}(x)`, 74.4 for MNIST, and so

    .. math:: P \; \mathrm{var}(x) \cdot 0.25 \; \overline{(z - e)^2}

    Up to a constant, :math:`\mathrm{MSE} / \mathrm{var}(x)` is also twice the nats per pixel of a Gaussian with the data's variance. A
    reconstruction in nats, such as that of Bernoulli pixels, is therefore on P / 2 times the paper's scale, and P / 2 takes the place
    of :math:`P\, \mathrm{var}(x)`.

    It is a mean over the elements of the code, so its ratio to the reconstruction depends on neither batch, codebook nor grid.

    Args:
        vectors: Encoder outputs z, (B, D, H, W).
        quantised: Their nearest codes e, (B, D, H, W), without gradient.
        pixels: P, the number of pixels of an image times its colours.
        variance: var(x), that of the training pixels in [0, 1].
        nats: Whether the reconstruction term is in nats (`bernoulli_loss`) instead of a squared error.
    Returns:
        (B,).
    Raises:
        ValueError: If the shapes differ.
    Reference:
        van den Oord et al., Neural Discrete Representation Learning, 2017, equation 3; normalisation by the data's variance
        as in their published code (sonnet, vqvae_example). https://arxiv.org/abs/1711.00937
    """
    _check_same_shape(vectors, quantised, "vectors and quantised")
    scale = pixels / 2 if nats else pixels * variance
    return scale * weight * (vectors - quantised).square().flatten(1).mean(dim=1)


def is_binary(images: Tensor) -> bool:
    """Whether all pixels are 0 or 1: only then is the cross-entropy of Bernoulli pixels a likelihood."""
    return bool(((images == 0) | (images == 1)).all())


def negative_log_likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of a sequence of codes under its prior, in nats, (B, P, K) and (B, P) to (B,), summed over positions."""
    return -torch.gather(logits.log_softmax(dim=-1), 2, targets[..., None])[..., 0].sum(dim=1)


def check_adversary(kind: Adversary) -> None:
    """ValueError if there is no adversarial loss of this name."""
    if kind not in get_args(Adversary):
        raise ValueError(f"loss must be one of {', '.join(get_args(Adversary))}, got {kind!r}")


def discriminator_loss(real: Tensor, fake: Tensor, kind: Adversary) -> Tensor:
    r"""The loss that the discriminator minimises.

    .. math::
        \text{relativistic:} \;& \operatorname{softplus}(D(\hat x) - D(x)) \\
        \text{hinge:} \;& \max(0, 1 - D(x)) + \max(0, 1 + D(\hat x)) \\
        \text{non-saturating:} \;& \operatorname{softplus}(-D(x)) + \operatorname{softplus}(D(\hat x))

    Args:
        real, fake: Scores of real and of generated images, (B,); the relativistic loss compares them in pairs.
    Returns:
        (B,).
    Raises:
        ValueError: If the shapes differ.
    Reference:
        Relativistic pairing: Jolicoeur-Martineau 2018 and Huang et al., The GAN is dead; long live the GAN!, 2024, equation 2,
        https://arxiv.org/abs/2501.05441. Hinge: Lim & Ye 2017. Non-saturating: Goodfellow et al. 2014, section 3.
    """
    _check_same_shape(real, fake, "scores of real and generated images")
    if kind == "relativistic":
        return softplus(fake - real)
    return relu(1 - real) + relu(1 + fake) if kind == "hinge" else softplus(-real) + softplus(fake)


def generator_loss(real: Tensor, fake: Tensor, kind: Adversary) -> Tensor:
    r"""The loss that the generator minimises against `discriminator_loss`.

    .. math::
        \text{relativistic:} \; \operatorname{softplus}(D(x) - D(\hat x)), \quad
        \text{hinge:} \; -D(\hat x), \quad
        \text{non-saturating:} \; \operatorname{softplus}(-D(\hat x))

    Arguments, shapes, errors and sources are those of `discriminator_loss`.
    """
    _check_same_shape(real, fake, "scores of real and generated images")
    if kind == "relativistic":
        return softplus(real - fake)
    return -fake if kind == "hinge" else softplus(-fake)


def gradient_penalty(scores: Tensor, images: Tensor) -> Tensor:
    r"""Squared gradient of a discriminator at images, :math:`\|\nabla_x D(x)\|^2`: R1 on real images, R2 on generated ones.

    Args:
        scores: D(x), (B,), with a graph that leads to `images`.
        images: (B, C, H, W), requiring a gradient.
    Returns:
        (B,), with a graph, so that it can be minimised.
    Reference:
        Mescheder et al., Which Training Methods for GANs do actually Converge?, 2018, equations 9 and 10.
        https://arxiv.org/abs/1801.04406
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1)
