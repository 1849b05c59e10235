"""The yardstick: what samples are measured against, for every model in the same way.

It holds real images of one split of a data set, its judge, and the spaces of features in which distances are measured. `JudgeSamples` is
the same as a metric of torchmetrics, for anybody's samples:

    yardstick = yardstick_of("mnist", ImageDataModule("mnist").whole())
    metric = JudgeSamples(yardstick)
    metric.update(images, labels)  # (B, C, H, W) in [0, 1], and the labels asked for, if there are any
    metric.compute()["kid"]
"""

import hashlib
import math
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Generator, Tensor
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.utilities import dim_zero_cat

from datamodules.contracts import HasImages
from lit_models.evaluation.classification_score import classification_score
from lit_models.evaluation.distortions import DISTORTIONS, LABELLED
from lit_models.evaluation.features import Spaces, held_out, spaces_of
from lit_models.evaluation.judge import Judge, judge_of
from lit_models.evaluation.judge_output import JudgeOutput
from lit_models.evaluation.memorisation import nearer_to_training, nearest
from lit_models.evaluation.neighbourhoods import radii
from lit_models.evaluation.sample_quality import SampleQuality, key
from lit_models.evaluation.yardstick_files import SHIPPED, read

SplitName = Literal["val", "test"]
Values = dict[str, float]
NEIGHBOURS = 5  # of density and coverage


class Yardstick:
    """`n` images of a split of a data set, in a fixed random order, its spaces of features, and its judge (None if it has none).

    Without labels there are distances, in the untrained space, and neither judge nor what depends on classes.

    Args:
        data: The whole data set, set up (`lit_models.contracts.HasWholeData`).
        split: Validation images serve for all choices. Test images serve for the last measurement of a model that is fixed.
        inception: Whether samples are also compared in Inception's features, `fid_inception`; torchmetrics downloads its weights.
    """

    def __init__(
        self, data: HasImages, judge: Judge | None, spaces: Spaces, n: int = 10_000, split: SplitName = "val", inception: bool = False
    ) -> None:
        self.judge, self.spaces, self.split, self.inception = judge, spaces, split, inception
        real, real_labels = data.images(split)
        rows = torch.randperm(len(real), generator=Generator().manual_seed(0))[:n]  # the first test images of MNIST are by other writers
        self.real, self.labels = real[rows], None if real_labels is None else real_labels[rows]
        self.unseen = real  # all of the split, because few images would make `nearer_to_training` noisy
        self.n = len(rows)
        self._radii: dict[int, dict[str, Tensor]] = {}
        images, labels = data.images("train")
        kept = len(images) - held_out(len(images))
        self.training = images[:kept]
        # No network of the yardstick was trained on these.
        self.held_out, self.held_out_labels = images[kept:], None if labels is None else labels[kept:]
        self.classes: int | None = _classes(data, labels)
        self.class_names: tuple[str, ...] = tuple(getattr(data, "class_names", ()))

    @property
    def sha256(self) -> str:
        """Names the networks of the yardstick: numbers of two yardsticks do not compare."""
        return hash_of_networks(self.judge.sha256 if self.judge else "", self.spaces.sha256)

    @cached_property
    def real_features(self) -> dict[str, Tensor]:
        return self.spaces(self.real)

    @cached_property
    def real_output(self) -> JudgeOutput | None:
        """The judge's output for the real images."""
        return None if self.judge is None else self.judge.assess(self.real)

    @property
    def real_recognisable(self) -> float | None:
        """Share of the real images that are recognisable: the value that samples should have."""
        return None if self.real_output is None else float(self.real_output.recognisable.double().mean())

    @cached_property
    def real_to_training(self) -> float:
        """Median distance of real images to the nearest training image, over 1,000."""
        return float(nearest(self.real[:1000], self.training).median())

    def _real_radii(self, n: int) -> dict[str, Tensor]:
        """Radii of the neighbourhoods of the first `n` real images: they are the same for all samples."""
        if n not in self._radii:
            self._radii[n] = {space: radii(found[:n].double(), NEIGHBOURS) for space, found in self.real_features.items()}
        return self._radii[n]

    def distances(self, images: Tensor, asked: Tensor | None = None) -> Values:
        """`SampleQuality` of images (N, C, H, W) next to as many real images, in all spaces."""
        n = len(images)
        metric = SampleQuality(self.spaces.widths, NEIGHBOURS, self._real_radii(n), self.classes, tuple(self.real.shape[1:]))
        real_output = None if self.real_output is None else self.real_output.rows(slice(n))
        metric.update(self.real[:n], {name: found[:n] for name, found in self.real_features.items()}, real_output, real=True)
        metric.update(images, self.spaces(images), None if self.judge is None else self.judge.assess(images), real=False, asked=asked)
        return {name: float(value) for name, value in metric.compute().items()}

    def quality(self, images: Tensor, asked: Tensor | None = None) -> Values:
        """`distances`, and the measures that take longer.

        - `cas`: classification accuracy score, if `asked` has the labels of the images (`lit_models.evaluation.classification_score`);
        - `nearer_to_training`: 0.5 for new images, 1 for copies of training images (`lit_models.evaluation.memorisation`);
        - `novelty`: median distance of 1,000 images to the nearest training image, in units of that of real images (NaN if these
          are copies themselves).
        """
        to_training, to_unseen = nearest(images, self.training), nearest(images, self.unseen)
        found = self.distances(images, asked) | {
            "nearer_to_training": nearer_to_training(to_training, to_unseen, len(self.training), len(self.unseen)),
            "novelty": float(to_training[:1000].median()) / self.real_to_training if self.real_to_training else math.nan,
        }
        if asked is not None and self.labels is not None and self.classes is not None:
            found["cas"] = classification_score(images, asked, self.real, self.labels, self.classes)
        if self.inception:
            found["fid_inception"] = inception_distance(self.real[: len(images)], images)
        return found

    def floor(self, n: int | None = None) -> Values:
        """Held-out training images in the place of `n` samples: what the measures say of real images at this number."""
        n = n or self.n
        return self.quality(self.held_out[:n], self.labels_of_held_out(n))

    def controls(self, names: list[str] | None = None, n: int | None = None) -> dict[str, dict[float, Values]]:
        """Distances of distorted real images by name and strength (`lit_models.evaluation.distortions`), all by default."""
        n = n or self.n
        return {name: {strength: self.distances(self.distorted(name, strength, n)) for strength in DISTORTIONS[name].strengths}
                for name in names or self.distortions}  # fmt: skip

    def distorted(self, name: str, strength: float, n: int) -> Tensor:
        """The first `n` held-out images under a distortion."""
        images, labels = self.held_out[:n], self.labels_of_held_out(n)
        labels = torch.zeros(len(images), dtype=torch.long) if labels is None else labels
        return DISTORTIONS[name].apply(images, labels, strength, Generator().manual_seed(0))

    @property
    def distortions(self) -> list[str]:
        """The distortions that serve as controls: without labels, those that need none."""
        return [name for name in DISTORTIONS if self.labels is not None or name not in LABELLED]

    def labels_of_held_out(self, n: int) -> Tensor | None:
        """Labels of the first `n` held-out images, if there are any."""
        return None if self.held_out_labels is None else self.held_out_labels[:n]


def _classes(data: HasImages, labels: Tensor | None) -> int | None:
    """The number of classes that the data module says or, where it says none, one more than the highest label."""
    if labels is None:
        return None
    said: int | None = getattr(data, "classes", None)
    return said or int(labels.max()) + 1


def yardstick_of(dataset: str, data: HasImages, n: int = 10_000, split: SplitName = "val", inception: bool = False) -> Yardstick:
    """The yardstick of a data set; `data` is the whole of it.

    Judge and trained spaces are those that `lit_models.evaluation.yardstick_files` finds. Without them there is the untrained space alone.

    Raises:
        ValueError: If a file was made for other images of the same name.
    """
    found = judge_of(dataset, data)
    return Yardstick(data, found[0] if found else None, spaces_of(dataset, data.images("train")[0], data=data), n, split, inception)


def hash_of_networks(judge: str, spaces: str) -> str:
    """The hash of a yardstick, from those of the files of its judge and of its spaces."""
    return hashlib.sha256(f"{judge} {spaces}".encode()).hexdigest()


def hash_of_shipped(dataset: str) -> str:
    """The hash of the yardstick that the package has for a data set."""
    judge, spaces = (read(folder / f"{dataset}.pt").sha256 for folder in (SHIPPED["judge"], SHIPPED["spaces"]))
    return hash_of_networks(judge, spaces)


def floor_of_kid(values: Values, space: str) -> float:
    """Upper end of the 95 % interval of the kernel distance between two sets of real images: a distance below it is none."""
    return abs(values[key("kid", space)]) + 1.96 * values[key("kid_error", space)]


def inception_distance(real: Tensor, drawn: Tensor) -> float:
    """FID as it is usually meant, over 2,048 features of an Inception network trained on photographs; ValueError without torch-fidelity."""
    try:
        metric = FrechetInceptionDistance(normalize=True)
    except ModuleNotFoundError as error:
        raise ValueError(f"features: inception expected torch-fidelity and its weights\n{error}\npip install torch-fidelity") from error
    for images, kind in ((real, True), (drawn, False)):
        for part in images.split(100):
            metric.update(part.expand(-1, 3, -1, -1), real=kind)
    return float(metric.compute())


class JudgeSamples(Metric):
    """All measures of samples by a yardstick, as a metric: `update` takes samples, `compute` gives the measures by name.

    The yardstick stays outside the metric's state, so a checkpoint does not contain it. Images are stored, and gathered over processes.

    Args:
        yardstick: What the samples are measured against.
    Raises:
        ValueError: In `compute`, if there are more samples than real images, or fewer than 100.
    """

    full_state_update = False
    images: list[Tensor]
    asked: list[Tensor]

    def __init__(self, yardstick: Yardstick) -> None:
        super().__init__()
        self.yardstick = yardstick
        self.add_state("images", default=[], dist_reduce_fx="cat")
        self.add_state("asked", default=[], dist_reduce_fx="cat")

    def update(self, images: Tensor, labels: Tensor | None = None) -> None:
        """Add samples (B, C, H, W) in [0, 1], and the labels that they were asked for, (B,)."""
        self.images.append(images.detach())
        if labels is not None:
            self.asked.append(labels)

    def compute(self) -> dict[str, Any]:
        images = dim_zero_cat(self.images)
        if not 100 <= len(images) <= self.yardstick.n:
            raise ValueError(f"expected 100 to {self.yardstick.n} samples, as many as there are real images, got {len(images)}")
        asked = dim_zero_cat(self.asked) if sum(map(len, self.asked)) == len(images) else None
        found = self.yardstick.quality(images.cpu(), None if asked is None else asked.cpu())
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}
