r"""Quality of a set of samples, next to a set of real images: the measures of samples as one metric.

The measures of distance are made in several spaces of features (`lit_models.evaluation.features`), each of which sees other faults. Their
keys end with the name of the space: `kid` is measured in the first space, `kid_second` and `kid_untrained` in the others. With N real
images and M samples, `compute` gives for each space

- `kid`: kernel distance, times 1,000, and `kid_error`, its standard error (`lit_models.evaluation.kernel_distance`);
- `fid`: Fréchet distance, not in Inception's features; its value depends on N and M, so it is read next to that of real images;
- `density`, `coverage` (`lit_models.evaluation.neighbourhoods`), and in the first space `precision` and `recall`;

for all images

- `sharpness` (`lit_models.evaluation.sharpness`), relative to real images;

and with a judge (`lit_models.evaluation.judge`)

- `recognisable`: share of samples that are recognisable; `recognisable_gap`: its distance from the share among the real images, because
  more recognisable samples than real images are no merit;
- `control`: share of samples whose class is the label asked for;
- `balance`: 1 minus the total variation distance between the classes of samples and real images, :math:`1 - \tfrac12 \sum_d |p_d - q_d|`;
- `spread`: variance of a pixel within a class, averaged over pixels and classes, relative to real images. Without labels there is no judge.

The class of a sample is the label asked for, or else the class that the judge sees. In training `callbacks.GenerativeMetrics` logs these
measures as `val/...`; after it, `lightning test` prints them (`lit_models.evaluation.yardstick`).

Reference: Heusel et al. 2017, equation 6, https://arxiv.org/abs/1706.08500 (Fréchet distance, by torchmetrics).
"""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance

from lit_models.contracts import ImageShape
from lit_models.evaluation.judge_output import JudgeOutput
from lit_models.evaluation.kernel_distance import KernelDistance
from lit_models.evaluation.neighbourhoods import Neighbourhoods
from lit_models.evaluation.sharpness import sharpness

FIRST = "first"  # the space whose measures have the plain names


def key(measure: str, space: str) -> str:
    """The name of a measure in a space: `kid` in the first one, `kid_second` in the second."""
    return measure if space == FIRST else f"{measure}_{space}"


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


class SampleQuality(Metric):
    """`update` takes images, their features and the judge's output for them; `compute` needs real images and samples.

    The state is sums and features, over all processes. Nothing is drawn from a generator.

    Args:
        widths: The width of each space of features, by its name.
        k: Number of neighbours.
        real_radii: Radii of the real images in each space, where they are known (`Neighbourhoods`).
        classes: The number of classes of the judge.
    """

    full_state_update = False

    def __init__(
        self,
        widths: Mapping[str, int],
        k: int = 5,
        real_radii: Mapping[str, Tensor] | None = None,
        classes: int | None = 10,
        image_shape: ImageShape = (1, 28, 28),
    ) -> None:
        super().__init__()
        self.classes = classes or 0
        self.distances = nn.ModuleDict({space: frechet_distance(width) for space, width in widths.items()})
        self.kernels = nn.ModuleDict({space: KernelDistance() for space in widths})
        self.near = nn.ModuleDict({space: Neighbourhoods(k, space == FIRST, (real_radii or {}).get(space)) for space in widths})
        for kind in ("real", "drawn"):
            for name in ("n", "sharp", "judged", "recognisable", "right", "asked"):
                self.add_state(f"{kind}_{name}", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
            for name in ("counts", "members"):
                self.add_state(f"{kind}_{name}", torch.zeros(classes or 0, dtype=torch.float64), dist_reduce_fx="sum")
            for name in ("sums", "squares"):
                self.add_state(
                    f"{kind}_{name}", torch.zeros(classes or 0, math.prod(image_shape), dtype=torch.float64), dist_reduce_fx="sum"
                )

    def update(
        self, images: Tensor, features: Mapping[str, Tensor], output: JudgeOutput | None, real: bool, asked: Tensor | None = None
    ) -> None:
        """Add images (B, C, H, W); `asked` are the labels that samples were asked for, (B,)."""
        for space, found in features.items():
            for metric in (self.distances[space], self.kernels[space], self.near[space]):
                metric.update(found, real=real)
        kind = "real" if real else "drawn"
        values: dict[str, Tensor | int] = {"n": len(images), "sharp": sharpness(images).double().sum()}
        if output is not None:
            values |= self._judged(images, output, asked)
        for name, value in values.items():
            getattr(self, f"{kind}_{name}").add_(value)

    def _judged(self, images: Tensor, output: JudgeOutput, asked: Tensor | None) -> dict[str, Tensor | int]:
        classes, pixels = output.classes if asked is None else asked, images.flatten(1).double()
        return {
            "judged": len(images),
            "recognisable": output.recognisable.sum(),
            "right": 0 if asked is None else (output.classes == asked).sum(),
            "asked": 0 if asked is None else len(asked),
            "counts": torch.bincount(output.classes, minlength=self.classes),
            "members": torch.bincount(classes, minlength=self.classes),
            "sums": torch.zeros_like(self.real_sums).index_add_(0, classes, pixels),
            "squares": torch.zeros_like(self.real_sums).index_add_(0, classes, pixels.square()),
        }

    def compute(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for space in self.kernels:
            measures = {name: 1000 * value for name, value in self.kernels[space].compute().items()}
            measures |= {"fid": self.distances[space].compute(), **self.near[space].compute()}
            found |= {key(name, space): value for name, value in measures.items()}
        found["sharpness"] = self.drawn_sharp / self.drawn_n / (self.real_sharp / self.real_n)
        if self.drawn_judged:
            real_shares, shares = self.real_counts / self.real_judged, self.drawn_counts / self.drawn_judged
            found["recognisable"] = self.drawn_recognisable / self.drawn_judged
            found["recognisable_gap"] = (found["recognisable"] - self.real_recognisable / self.real_judged).abs()
            found["balance"] = 1 - 0.5 * (shares - real_shares).abs().sum()
            found["spread"] = self._variance("drawn") / self._variance("real")
        if self.drawn_asked:
            found["control"] = self.drawn_right / self.drawn_asked
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

    def _parts(self) -> Iterator[Metric]:
        for parts in (self.distances, self.kernels, self.near):
            yield from parts.values()
