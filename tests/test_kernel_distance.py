"""The kernel distance and its standard error agree with their definitions, with torchmetrics, and with repeated draws."""

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from lit_models.evaluation import KernelDistance


def distance(real: Tensor, drawn: Tensor) -> tuple[float, float]:
    metric = KernelDistance()
    for part in real.split(77):
        metric.update(part, real=True)
    metric.update(drawn, real=False)
    found = metric.compute()
    return float(found["kid"]), float(found["kid_error"])


class Features(nn.Module):
    num_features = 6

    def forward(self, features: Tensor) -> Tensor:
        return features


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`")
def test_the_estimate_is_that_of_torchmetrics_over_one_subset_of_all_images() -> None:
    torch.manual_seed(0)
    real, drawn = torch.randn(150, 6, dtype=torch.float64), 1.2 * torch.randn(150, 6, dtype=torch.float64) + 0.1
    reference = KernelInceptionDistance(Features(), subsets=1, subset_size=150)
    reference.update(real, real=True)
    reference.update(drawn, real=False)
    # It leaves out x_i with y_i among the pairs of both kinds, as a U-statistic of pairs does; torchmetrics keeps them.
    kernel = lambda a, b: (a @ b.T / 6 + 1) ** 3  # noqa: E731
    cross = kernel(real, drawn)
    kept = float(2 * cross.mean() - 2 * (cross.sum() - cross.trace()) / (150 * 149))
    assert distance(real, drawn)[0] == pytest.approx(float(reference.compute()[0]) + kept, rel=1e-6)


def test_estimate_and_error_agree_with_their_definitions_pair_by_pair() -> None:
    torch.manual_seed(0)
    n = 40
    x, y = torch.randn(n, 3, dtype=torch.float64), torch.randn(n, 3, dtype=torch.float64) + 0.5
    k = lambda a, b: (float(a @ b) / 3 + 1) ** 3  # noqa: E731
    h = torch.tensor([[k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i]) for j in range(n)] for i in range(n)])
    off = h[~torch.eye(n, dtype=torch.bool)]
    means = (h.sum(dim=1) - h.diag()) / (n - 1)
    of_means = max(0.0, ((n - 1) * float(means.var()) - float(off.var(correction=0))) / (n - 2))
    error = ((4 * (n - 2) * of_means + 2 * float(off.var(correction=0))) / (n * (n - 1))) ** 0.5
    assert distance(x, y) == pytest.approx((float(off.mean()), error), rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_the_error_is_the_spread_of_repeated_estimates(shift: float) -> None:
    """Also where both distributions are equal, and the first term of the variance vanishes."""
    torch.manual_seed(0)
    found = torch.tensor([distance(torch.randn(120, 4), torch.randn(120, 4) + shift) for _ in range(400)])
    assert float(found[:, 1].median()) == pytest.approx(float(found[:, 0].std()), rel=0.1)
    if shift == 0:
        assert abs(float(found[:, 0].mean())) < 3 * float(found[:, 0].std()) / 20, "zero in expectation"
    else:
        assert float(found[:, 0].mean()) > 2 * float(found[:, 0].std())


def test_blocks_do_not_change_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    real, drawn = torch.randn(301, 5, dtype=torch.float64), torch.rand(299, 5, dtype=torch.float64)
    whole = distance(real, drawn)
    monkeypatch.setattr("lit_models.evaluation.kernel_distance.ROWS", 64)
    assert distance(real, drawn) == pytest.approx(whole, rel=1e-9)


def test_too_few_features_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 3 real images and 3 samples at least, got 2"):
        distance(torch.randn(5, 2), torch.randn(2, 2))
