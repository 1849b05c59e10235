"""How well codes separate the classes (by scikit-learn), and how many of their numbers are in use."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from lit_models.losses import gaussian_kl

ACTIVE = 0.01  # a number is active if the variance of its posterior mean over images is above this (Burda et al. 2016, section 5.2)


def separation(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Test accuracy of a linear `probe` and of 15 nearest neighbours (`knn`), and the `silhouette` of the classes, from -1 to 1, over 2,000
    test codes. Codes are (N, ...), labels (N,). Empty if one part has a single class, of which nothing can be told apart."""
    if any(len(labels.unique()) == 1 for _, labels in (train, test)):
        return {}
    (codes, labels), (test_codes, test_labels) = (
        (part[0].flatten(1).double().cpu().numpy(), part[1].cpu().numpy()) for part in (train, test)
    )
    with threadpool_limits(1):
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-3)).fit(codes, labels)
    knn = KNeighborsClassifier(15, algorithm="brute").fit(codes, labels)
    some = np.arange(len(test_codes))[:2000]
    return {
        "probe": float(probe.score(test_codes, test_labels)),
        "knn": float(knn.score(test_codes, test_labels)),
        "silhouette": float(silhouette_score(test_codes[some], test_labels[some])),
    }


def posterior_use(mean: Tensor, log_var: Tensor) -> tuple[dict[str, float], list[float]]:
    """For q(z|x) over images, (N, D) each: `kl` in nats per image, the number of `active` numbers, and the KL of each number alone."""
    each = [float(gaussian_kl(mean[:, [d]], log_var[:, [d]]).mean()) for d in range(mean.shape[1])]
    return {"kl": sum(each), "active": float((mean.var(dim=0) > ACTIVE).sum())}, each
