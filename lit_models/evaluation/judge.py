r"""The judge: whether an image is recognisable as one of the classes, and as which one.

A judge is two classifiers of different architecture and seed, each with a further class for what shows none of the others. An image is
*recognisable* if neither classifier takes it for that class, if both take it for the same of the others, and if it is near to a real image
in the features of each:

.. math::
    \ell_j(x) = \log \frac{p_j(\text{none}|x)}{1 - p_j(\text{none}|x)} \le t_j, \qquad
    \min_i \|u_j(x) - u_j(x_i)\| \le r_j, \qquad j = 1, 2,

with :math:`u_j` the direction of the features and :math:`x_i` 10,000 training images. The four thresholds are the same quantile of
validation images, the one at which 93 % of these are recognisable. Each rule alone has a hole: a confident classifier takes noise for a
digit, the neighbourhood of real images contains blends of two images, and the further class does not know what it has not seen (`controls`
measures all of them).

A judge knows nothing of a set of images: one clean image a thousand times has only recognisable images. Distances between sets are
measured in other spaces (`lit_models.evaluation.features`), and a share of recognisable images never stands alone.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from datamodules.contracts import HasImages
from datamodules.own import name_of
from lit_models.checkpoints.files import replacing
from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.corruptions import KINDS, without
from lit_models.evaluation.judge_output import JudgeOutput
from lit_models.evaluation.yardstick_files import SHIPPED as FILES
from lit_models.evaluation.yardstick_files import NetworkFile, find, read

SHIPPED = FILES["judge"]
KNOWN = 10_000  # training images that an image has to be near to
REAL = 0.93  # share of validation images that are recognisable: here 94 % of two halves of digits together (MNIST) are refused
PART = 500  # images at a time


class Judge(nn.Module):
    """Two classifiers and their thresholds.

    Args:
        known: 10,000 real images (N, C, H, W).
        limits: The thresholds (4,) in the order t_1, t_2, r_1, r_2.
        left_out: Kinds of corruption that neither classifier has learnt to refuse, and why (`lit_models.evaluation.asked_kinds`).
    """

    def __init__(
        self,
        first: Classifier,
        second: Classifier,
        known: Tensor,
        limits: Tensor | None = None,
        sha256: str = "",
        left_out: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.classes, self.left_out = first.n_classes, left_out or {}
        self.classifiers = nn.ModuleList([first, second]).eval().requires_grad_(False)
        self.sha256 = sha256
        self.limits = torch.full((4,), torch.inf) if limits is None else limits
        self.known = [normalize(torch.cat([each.features(part) for part in known.split(PART)]), dim=1) for each in self.classifiers]

    @torch.no_grad()
    def assess(self, images: Tensor) -> JudgeOutput:
        """What the judge says of images (N, C, H, W)."""
        classes, scores = self._scores(images)
        return JudgeOutput(classes[0], (scores <= self.limits.to(scores)).all(dim=1) & (classes[0] == classes[1]))

    def fit_limits(self, images: Tensor, share: float = REAL) -> None:
        """Set the thresholds so that this share of real images is recognisable: one quantile for all four, found by bisection."""
        classes, scores = self._scores(images)
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            self.limits = scores.quantile(middle, dim=0)
            recognisable = (scores <= self.limits).all(dim=1) & (classes[0] == classes[1])
            low, high = (middle, high) if recognisable.float().mean() < share else (low, middle)

    @torch.no_grad()
    def _scores(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Classes by both classifiers, and the scores that the thresholds are on, (N, 4)."""
        classes, doubts, distances = [], [], []
        for classifier, known in zip(self.classifiers, self.known, strict=True):
            found = torch.cat([classifier.features(part.float()) for part in images.split(PART)])
            logits = classifier.head(found)
            classes.append(logits[:, : self.classes].argmax(dim=1))
            doubts.append(logits[:, self.classes] - logits[:, : self.classes].logsumexp(dim=1))
            distances.append(torch.cat([torch.cdist(part, known.to(part)).amin(dim=1) for part in normalize(found, dim=1).split(PART)]))
        return classes, torch.stack([*doubts, *distances], dim=1)


def controls(judge: Judge, images: Tensor, labels: Tensor) -> dict[str, float]:
    """The share of recognisable images among real ones, and among each kind of spoilt ones (`lit_models.evaluation.corruptions`).

    Kinds that make sense for the data are left out: what they make is no negative.
    """
    generator = torch.Generator().manual_seed(0)
    spoilt = {name: kind(images, labels, generator) for name, kind in without(judge.left_out, KINDS).items()}
    return {name: float(judge.assess(each).recognisable.double().mean()) for name, each in ({"real images": images} | spoilt).items()}


def make_judge(first: Classifier, second: Classifier, data: HasImages, left_out: dict[str, str] | None = None) -> Judge:
    """A judge of two trained classifiers. It knows the first training images, and its thresholds are set on the validation images."""
    judge = Judge(first, second, known_images(data), left_out=left_out)
    judge.fit_limits(data.images("val")[0])
    return judge


def known_images(data: HasImages) -> Tensor:
    """The training images of a whole data set that a judge knows."""
    return data.images("train")[0][:KNOWN]


def save_judge(judge: Judge, dataset: str, recipe: str, file: Path, images_sha256: str = "") -> None:
    """Weights in half precision, thresholds, and how the judge was made, as plain tensors and strings."""
    state = {name: value.half() for name, value in judge.classifiers.state_dict().items()}
    hyper_parameters = [dict(each.hparams) for each in judge.classifiers]
    saved = {"state_dict": state, "classifiers": hyper_parameters, "limits": judge.limits, "dataset": name_of(dataset), "recipe": recipe}
    saved |= {"left_out": judge.left_out, "images_sha256": images_sha256}
    with replacing(file) as part:
        torch.save(saved, part)


def load_judge(file: Path, dataset: str, known: Tensor) -> tuple[Judge, str]:
    """The judge in a file, and its recipe.

    Args:
        known: `known_images` of the data set.
    Raises:
        ValueError: If the file is damaged, or belongs to another data set.
    """
    return judge_in(read(file), dataset, known)


def judge_in(found: NetworkFile, dataset: str, known: Tensor) -> tuple[Judge, str]:
    """As `load_judge`, for a file that has been read."""
    file, saved, sha256 = found
    if saved["dataset"] != name_of(dataset):
        raise ValueError(f"expected a judge of {dataset}, got one of {saved['dataset']} in {file}: make one with lightning judge")
    return Judge(*classifiers_of(saved), known, saved["limits"], sha256, saved.get("left_out")), saved["recipe"]


def classifiers_of(saved: dict[str, Any]) -> tuple[Classifier, Classifier]:
    """The two classifiers in the content of a judge's file."""
    first, second = (Classifier(**hyper_parameters).eval() for hyper_parameters in saved["classifiers"])
    nn.ModuleList([first, second]).load_state_dict({name: value.float() for name, value in saved["state_dict"].items()})
    return first, second


def judge_of(dataset: str, data: HasImages) -> tuple[Judge, str] | None:
    """The judge of a data set, and its recipe; None if there is none (`lit_models.evaluation.yardstick_files`).

    Raises:
        ValueError: If a file is damaged, or was made for other images of the same name.
    """
    found = find("judge", dataset, data)
    return None if found is None else judge_in(found, dataset, known_images(data))
