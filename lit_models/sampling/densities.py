r"""Densities over codes, by which an autoencoder is sampled: the standard normal, and five that are fitted to codes of training images.

A decoder makes images of any code. Which codes have images is known only from where the codes of training images lie (ex-post density
estimation: Ghosh et al., From Variational to Deterministic Autoencoders, 2020, section 3, https://arxiv.org/abs/1903.12436).

All six are mixtures of Gaussians, :math:`p(z) = \sum_k w_k N(z; m_k, F_k F_k^T)`. `normal` is one fixed component, N(0, I). `gaussian` is
one with the codes' mean and covariance, and `class_gaussian` is one per class. `gmm` and `class_gmm` are several components, fitted by
expectation maximisation over all codes and within each class. `kde` has a small component around each code. Those that are named for the
class take labels.
"""

import math
import warnings
from typing import Literal, get_args

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import ShuffleSplit
from threadpoolctl import threadpool_limits
from torch import Generator, Tensor

from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature

DensityName = Literal["normal", "gaussian", "class_gaussian", "gmm", "class_gmm", "kde"]
COMPONENTS, COMPONENTS_PER_CLASS = 20, 4
BANDWIDTHS = (0.1, 0.15, 0.2, 0.3, 0.4)  # of the kernel, in standard deviations of the codes


def densities(classes: int | None) -> dict[str, int | None]:
    """The densities by name, and the number of labels that each takes; without `classes` those that take labels are left out."""
    labelled = {name: name.startswith("class_") for name in get_args(DensityName)}
    return {name: classes if takes_labels else None for name, takes_labels in labelled.items() if classes or not takes_labels}


class CodeDensity:
    """A mixture of K Gaussians over codes of D numbers, in float64: a `lit_models.contracts.CodeDistribution`.

    Args:
        weights: (K,), summing to 1.
        means: (K, D).
        factors: Lower triangular F, (K, D, D), or (1, D, D) if all components share it.
        component_classes: The class of each component, (K,), or None if components have no class.
        classes: The number of classes, by default one more than the highest class of a component.
    """

    def __init__(
        self, weights: Tensor, means: Tensor, factors: Tensor, component_classes: Tensor | None = None, classes: int | None = None
    ) -> None:
        self.weights, self.means, self.factors, self.component_classes = weights, means, factors, component_classes
        self.classes = None if component_classes is None else classes or int(component_classes.max()) + 1

    def draw(self, n: int, labels: Tensor | int | None = None, generator: Generator | None = None, temperature: float = 1.0) -> Tensor:
        r"""`n` codes, (n, D), or one per label: :math:`m_k + T F_k \epsilon` with k drawn by the weights and temperature T.

        Raises:
            ValueError: For labels where components have no class, for a class that has no component, and for a temperature that is not
                finite and above 0.
        """
        labels = labels_for(n, labels, self.classes)
        if labels is None or self.component_classes is None:
            chosen = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        else:
            own = self.component_classes == labels[:, None]  # (n, K)
            if not own.any(dim=1).all():
                raise ValueError(f"no training image of class {int(labels[~own.any(dim=1)][0])} has a code: ask for another class")
            chosen = torch.multinomial(self.weights * own, 1, generator=generator)[:, 0]
        noise = checked_temperature(temperature) * torch.randn(n, self.means.shape[1], 1, generator=generator, dtype=torch.float64)
        factors = self.factors[chosen] if len(self.factors) > 1 else self.factors
        return self.means[chosen] + (factors @ noise)[..., 0]

    def log_density(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Nats per code, (N, D) to (N,), of the whole mixture. Comparable between densities of one model, not between models."""
        inverse = torch.linalg.inv(self.factors)
        centres = (inverse @ self.means[..., None])[..., 0]
        weights = self.weights.log() - torch.linalg.slogdet(self.factors).logabsdet - 0.5 * codes.shape[1] * math.log(2 * math.pi)
        parts = codes.double().cpu().split(100)  # 10,000 kernels take 8 MB for these
        return torch.cat([torch.logsumexp(weights - 0.5 * _squared_distances(part, inverse, centres), dim=1) for part in parts])


def _squared_distances(codes: Tensor, inverse: Tensor, centres: Tensor) -> Tensor:
    """Mahalanobis distances of codes (N, D) to K components, (N, K)."""
    white = codes @ inverse.mT  # (K, N, D), or (1, N, D) for a shared factor
    return (torch.cdist(white[0], centres) if len(white) == 1 else torch.linalg.vector_norm(white - centres[:, None], dim=2).T).square()


def standard_normal(width: int) -> CodeDensity:
    """The density `normal` over codes of `width` numbers."""
    zeros, unit = torch.zeros(1, width, dtype=torch.float64), torch.eye(width, dtype=torch.float64)
    return CodeDensity(torch.ones(1, dtype=torch.float64), zeros, unit[None])


def check_density(name: DensityName, classes: int | None) -> DensityName:
    """The name; ValueError if there is no density of this name for images with this number of classes."""
    known = densities(classes)
    if name not in known:
        labels = "" if classes else " for images without labels"
        raise ValueError(f"sampler must be one of {', '.join(known)}{labels}, got {name!r}")
    return name


def fit_density(name: DensityName, codes: Tensor, labels: Tensor, classes: int | None = None) -> CodeDensity:
    """A density fitted to codes (N, D) and labels (N,), -1 without labels; mixtures are fitted by scikit-learn.

    The codes are whitened first, so that their scale does not matter. Directions in which they hardly vary get a floor, so that a
    covariance that is not positive definite has a factor too.

    Raises:
        ValueError: If there is no density of this name, or if it needs labels and none are known.
    """
    if name.startswith("class_") and (labels < 0).any():
        raise ValueError(f"sampler {name} expected codes of labelled images, got images without labels: draw from gmm")
    check_density(name, classes or 1)
    codes = codes.double()
    n, width = codes.shape
    if name == "normal":
        return standard_normal(width)
    centre, factor = codes.mean(dim=0), _factor(_covariance(codes))
    white = torch.linalg.solve_triangular(factor, (codes - centre).T, upper=False).T
    if name == "kde":
        return CodeDensity(torch.full((n,), 1 / n, dtype=torch.float64), codes, _bandwidth(white) * factor[None])
    components = {"gaussian": 1, "class_gaussian": 1, "gmm": COMPONENTS, "class_gmm": COMPONENTS_PER_CLASS}[name]
    groups = labels.unique() if name.startswith("class_") else [None]
    parts = []
    for group in groups:
        own = white if group is None else white[labels == group]
        fitted = _mixture(own, components)
        parts.append((len(own) / n * fitted[0], *fitted[1:], torch.full((len(fitted[0]),), -1 if group is None else int(group))))
    weights, means, covariances, own_classes = (torch.cat(part) for part in zip(*parts, strict=True))
    factors = factor @ torch.stack([_factor(covariance) for covariance in covariances])
    return CodeDensity(weights, means @ factor.T + centre, factors, own_classes if name.startswith("class_") else None, classes)


def _mixture(white: Tensor, components: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and covariances; fewer components where each would have less than three codes per dimension."""
    n, width = white.shape
    components = min(components, n // (3 * width))
    if components <= 1:
        return torch.ones(1, dtype=torch.float64), white.mean(dim=0, keepdim=True), _covariance(white)[None]
    with warnings.catch_warnings(), threadpool_limits(1):  # on small arrays, threads of torch, OpenMP and BLAS slow each other down
        warnings.simplefilter("ignore", ConvergenceWarning)
        # This tolerance takes half the rounds of the default 0.001, and costs 0.02 nats of held-out codes.
        fitted = GaussianMixture(components, tol=3e-3, reg_covar=1e-4, random_state=0).fit(white.numpy())
    return tuple(torch.from_numpy(part) for part in (fitted.weights_, fitted.means_, fitted.covariances_))


def _bandwidth(white: Tensor) -> float:
    """The one of BANDWIDTHS that gives 500 held-out codes (a fifth, if there are fewer) the highest log-likelihood."""
    others, held_out = next(ShuffleSplit(1, test_size=min(500, len(white) // 5), random_state=0).split(white))
    # The distances serve all bandwidths. A search tree is of no use in many dimensions.
    distances = torch.cdist(white[held_out].float(), white[others].float()).square()

    def log_density(bandwidth: float) -> float:
        return float(torch.logsumexp(-distances / (2 * bandwidth**2), dim=1).mean()) - white.shape[1] * math.log(bandwidth)

    return max(BANDWIDTHS, key=log_density)


def _covariance(codes: Tensor) -> Tensor:
    """(D, D) for any D and N from 1 on, divided by N."""
    return codes.T.cov(correction=0).view(codes.shape[1], codes.shape[1])


def _factor(covariance: Tensor) -> Tensor:
    """Lower triangular F with F F^T = covariance, whose eigenvalues are raised to a millionth of the largest where they are less."""
    values, vectors = torch.linalg.eigh(covariance)
    floor = values[-1].clamp_min(1e-12) * 1e-6
    return torch.linalg.cholesky((vectors * values.clamp_min(floor)) @ vectors.T)
