r"""How good a set of samples is, beside a set of real images: all measures of samples as one metric.

Images are seen by a judge first (`lit_models.evaluation.judge`). With N real images and M samples, `compute` gives

- `valid`: share of samples that are digits; `control`: share whose digit is the one asked for, where one was;
- `fid`, `kid`: Fréchet and kernel distance (1,000 times) in the judge's features, not Inception's; `fid_second` in its second features;
- `precision`, `recall`, `density`, `coverage` (`lit_models.evaluation.neighbourhoods`), and `coverage_second`;
- `balance`: 1 less the total variation distance of the samples' classes from the real ones', :math:`1 - \tfrac12 \sum_d |p_d - q_d|`;
- `spread`: variance of a pixel within a class, averaged over pixels and classes, relative to real images';
- `sharpness` (`lit_models.evaluation.sharpness`), relative to real images'.

A class is the one asked for, else the one the judge sees.

Reference: Heusel et al. 2017, equation 6, https://arxiv.org/abs/1706.08500 (Fréchet distance); Bińkowski et al. 2018, section 3,
https://arxiv.org/abs/1801.01401 (kernel distance, with the cubic kernel); torchmetrics computes both.
"""

import warnings

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from lit_models.evaluation.judge_output import Seen
from lit_models.evaluation.neighbourhoods import Neighbourhoods
from lit_models.evaluation.sharpness import sharpness
from lit_models.losses import PIXELS


class Given(nn.Module):
    """In place of Inception: features that have been computed already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(num_features: int) -> FrechetInceptionDistance:
    """torchmetrics' FID over given features (B, num_features)."""
    return FrechetInceptionDistance(Given(num_features))


def kernel_distance(num_features: int, subsets: int, subset_size: int) -> KernelInceptionDistance:
    """torchmetrics' KID over given features (B, num_features)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")  # as the neighbourhoods do
        return KernelInceptionDistance(Given(num_features), subsets=subsets, subset_size=subset_size)


class SampleQuality(Metric):
    """`update` with images and what the judge has seen in them; `compute` needs both kinds.

    Sums and features only, those of all processes together; nothing is drawn from the default generator.

    Args:
        widths: Of the judge's two kinds of features.
        kid_subsets, kid_size: The kernel distance is the mean of so many, over so many images each; no subsets leave it out.
        k: Of the neighbourhoods.
    """

    full_state_update = False

    def __init__(self, widths: tuple[int, int] = (128, 96), kid_subsets: int = 20, kid_size: int = 1000, k: int = 5) -> None:
        super().__init__()
        self.distance, self.second_distance = frechet_distance(widths[0]), frechet_distance(widths[1])
        self.kernel_distance = kernel_distance(widths[0], kid_subsets, kid_size) if kid_subsets else None
        self.near, self.second_near = Neighbourhoods(k), Neighbourhoods(k)
        for kind in ("real", "drawn"):
            for name, shape in (("valid", ()), ("sharp", ()), ("right", ()), ("asked", ()), ("counts", 10), ("members", 10)):
                self.add_state(f"{kind}_{name}", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
            for name in ("sums", "squares"):
                self.add_state(f"{kind}_{name}", torch.zeros(10, PIXELS, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor, seen: Seen, real: bool, asked: Tensor | None = None) -> None:
        """Images (B, 1, 28, 28), and the digits asked for, (B,)."""
        self.distance.update(seen.features, real=real)
        self.second_distance.update(seen.second, real=real)
        if self.kernel_distance is not None:
            self.kernel_distance.update(seen.features, real=real)
        self.near.update(seen.features, real=real)
        self.second_near.update(seen.second, real=real)
        kind, classes, pixels = "real" if real else "drawn", seen.digits if asked is None else asked, images.flatten(1).double()
        found = {
            "valid": seen.valid.sum(),
            "sharp": sharpness(images).double().sum(),
            "right": 0 if asked is None else (seen.digits == asked).sum(),
            "asked": 0 if asked is None else len(asked),
            "counts": torch.bincount(seen.digits, minlength=10),
            "members": torch.bincount(classes, minlength=10),
            "sums": torch.zeros_like(self.real_sums).index_add_(0, classes, pixels),
            "squares": torch.zeros_like(self.real_sums).index_add_(0, classes, pixels.square()),
        }
        for name, value in found.items():
            getattr(self, f"{kind}_{name}").add_(value)

    def compute(self) -> dict[str, Tensor]:
        real_shares, shares = self.real_counts / self.real_counts.sum(), self.drawn_counts / self.drawn_counts.sum()
        near, second = self.near.compute(), self.second_near.compute()
        found = {
            "valid": self.drawn_valid / self.drawn_counts.sum(),
            "fid": self.distance.compute(),
            "fid_second": self.second_distance.compute(),
            **near,
            "coverage_second": second["coverage"],
            "balance": 1 - 0.5 * (shares - real_shares).abs().sum(),
            "spread": self._variance("drawn") / self._variance("real"),
            "sharpness": self.drawn_sharp / self.drawn_counts.sum() / (self.real_sharp / self.real_counts.sum()),
        }
        if self.drawn_asked:
            found["control"] = self.drawn_right / self.drawn_asked
        if self.kernel_distance is not None:
            with torch.random.fork_rng():
                torch.default_generator.manual_seed(0)
                found["kid"] = 1000 * self.kernel_distance.compute()[0]
        return found

    def _variance(self, kind: str) -> Tensor:
        """Of a pixel within a class, averaged over pixels and the classes with two images or more."""
        members, sums, squares = (getattr(self, f"{kind}_{name}") for name in ("members", "sums", "squares"))
        several = members > 1
        n = members[several, None]
        return ((squares[several] - sums[several].square() / n) / (n - 1)).mean()

    def reset(self) -> None:
        super().reset()
        for metric in self._parts():
            metric.reset()

    def whole_on_each_process(self) -> None:
        """Do not put processes' images together: each has been given all of them."""
        for metric in (self, *self._parts()):
            metric.sync_on_compute = False

    def _parts(self) -> list[Metric]:
        every = (self.distance, self.second_distance, self.kernel_distance, self.near, self.second_near)
        return [metric for metric in every if metric is not None]
