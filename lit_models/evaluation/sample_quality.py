r"""Quality of a set of samples, next to a set of real images: all measures of samples as one metric.

A judge assesses the images first (`lit_models.evaluation.judge`). With N real images and M samples, `compute` gives

- `recognisable`: share of samples that are recognisable to the judge; `control`: share whose class is the label asked for;
- `fid`, `kid`: Fréchet and kernel distance (times 1,000) in the judge's features, not Inception's; `fid_second` in its second features;
- `precision`, `recall`, `density`, `coverage` (`lit_models.evaluation.neighbourhoods`), and `coverage_second`;
- `balance`: 1 minus the total variation distance between the classes of samples and real images, :math:`1 - \tfrac12 \sum_d |p_d - q_d|`;
- `spread`: variance of a pixel within a class, averaged over pixels and classes, relative to real images;
- `sharpness` (`lit_models.evaluation.sharpness`), relative to real images.

The class of a sample is the label asked for, or else the class that the judge sees. In training `callbacks.GenerativeMetrics` logs these
measures as `val/...`; after it, `lightning test` prints them as `test/...` (`lit_models.evaluation.measure`).

Reference: Heusel et al. 2017, equation 6, https://arxiv.org/abs/1706.08500 (Fréchet distance); Bińkowski et al. 2018, section 3,
https://arxiv.org/abs/1801.01401 (kernel distance, with the cubic kernel); torchmetrics computes both.
"""

import warnings

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from lit_models.evaluation.judge_output import JudgeOutput
from lit_models.evaluation.neighbourhoods import Neighbourhoods
from lit_models.evaluation.sharpness import sharpness
from lit_models.losses import PIXELS


class GivenFeatures(nn.Module):
    """Takes the place of Inception where features have been computed already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_distance(num_features: int) -> FrechetInceptionDistance:
    """torchmetrics' FID over given features (B, num_features)."""
    return FrechetInceptionDistance(GivenFeatures(num_features))


def kernel_distance(num_features: int, subsets: int, subset_size: int) -> KernelInceptionDistance:
    """torchmetrics' KID over given features (B, num_features)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")  # as the neighbourhoods do
        return KernelInceptionDistance(GivenFeatures(num_features), subsets=subsets, subset_size=subset_size)


class SampleQuality(Metric):
    """`update` takes images and the judge's output for them; `compute` needs real images and samples.

    The state is sums and features, over all processes. Nothing is drawn from the default generator.

    Args:
        widths: Widths of the judge's two spaces of features.
        kid_subsets, kid_size: The kernel distance is a mean over `kid_subsets` subsets of `kid_size` images; 0 subsets leave it out.
        k: Number of neighbours.
    """

    full_state_update = False

    def __init__(self, widths: tuple[int, int] = (128, 96), kid_subsets: int = 20, kid_size: int = 1000, k: int = 5) -> None:
        super().__init__()
        self.distance, self.second_distance = frechet_distance(widths[0]), frechet_distance(widths[1])
        self.kernel_distance = kernel_distance(widths[0], kid_subsets, kid_size) if kid_subsets else None
        self.near, self.second_near = Neighbourhoods(k), Neighbourhoods(k)
        for kind in ("real", "drawn"):
            for name, shape in (("recognisable", ()), ("sharp", ()), ("right", ()), ("asked", ()), ("counts", 10), ("members", 10)):
                self.add_state(f"{kind}_{name}", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
            for name in ("sums", "squares"):
                self.add_state(f"{kind}_{name}", torch.zeros(10, PIXELS, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor, output: JudgeOutput, real: bool, asked: Tensor | None = None) -> None:
        """Add images (B, 1, 28, 28); `asked` are the labels that samples were asked for, (B,)."""
        self.distance.update(output.features, real=real)
        self.second_distance.update(output.second, real=real)
        if self.kernel_distance is not None:
            self.kernel_distance.update(output.features, real=real)
        self.near.update(output.features, real=real)
        self.second_near.update(output.second, real=real)
        kind, classes, pixels = "real" if real else "drawn", output.classes if asked is None else asked, images.flatten(1).double()
        found = {
            "recognisable": output.recognisable.sum(),
            "sharp": sharpness(images).double().sum(),
            "right": 0 if asked is None else (output.classes == asked).sum(),
            "asked": 0 if asked is None else len(asked),
            "counts": torch.bincount(output.classes, minlength=10),
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
            "recognisable": self.drawn_recognisable / self.drawn_counts.sum(),
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
        """Variance of a pixel within a class, averaged over pixels and the classes with at least two images."""
        members, sums, squares = (getattr(self, f"{kind}_{name}") for name in ("members", "sums", "squares"))
        several = members > 1
        n = members[several, None]
        return ((squares[several] - sums[several].square() / n) / (n - 1)).mean()

    def reset(self) -> None:
        super().reset()
        for metric in self._parts():
            metric.reset()

    def compute_on_each_process(self) -> None:
        """Do not gather the images of all processes: each has been given all of them."""
        for metric in (self, *self._parts()):
            metric.sync_on_compute = False

    def _parts(self) -> list[Metric]:
        every = (self.distance, self.second_distance, self.kernel_distance, self.near, self.second_near)
        return [metric for metric in every if metric is not None]
