r"""The judge: whether an image is a digit, which, and a space of features in which sets of images are compared.

Two classifiers of different architecture and seed, each with an eleventh class "no digit". An image is *valid*
if neither takes it for no digit, both take it for the same digit, and in the features of each it is near to a real image:

.. math::
    \ell_j(x) = \log \frac{p_j(\text{no digit}|x)}{1 - p_j(\text{no digit}|x)} \le t_j, \qquad
    \min_i \|u_j(x) - u_j(x_i)\| \le r_j, \qquad j = 1, 2,

with :math:`u_j` the direction of the features and :math:`x_i` 10,000 training images. The four thresholds are the same quantile of
validation images, the one at which 93 % of these are valid. Each rule by itself has a hole: confidence takes noise for a digit, the
neighbourhood a blend of two digits, the eleventh class what it has not seen (`controls` measures all).

The features of the first classifier serve the Fréchet distance, density and coverage; those of the second, in which nothing was tuned,
show whether what holds in the first holds elsewhere.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from datamodules import MNISTDataModule
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.checkpoints.files import replacing
from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.corruptions import KINDS
from lit_models.evaluation.judge_output import Seen

SHIPPED = Path(__file__).parent / "judges"
KNOWN = 10_000  # training images that a digit has to be near to
REAL = 0.93  # of validation images are valid: at this, of two halves of digits together 94 % are refused
PART = 500  # images at a time


class Judge(nn.Module):
    """Two classifiers, the thresholds `limits` (4,) in the order t_1, t_2, r_1, r_2, and 10,000 `known` real images (N, 1, 28, 28)."""

    def __init__(self, first: Classifier, second: Classifier, known: Tensor, limits: Tensor | None = None, sha256: str = "") -> None:
        super().__init__()
        self.classifiers = nn.ModuleList([first, second]).eval().requires_grad_(False)
        self.sha256 = sha256
        self.limits = torch.full((4,), torch.inf) if limits is None else limits
        self.known = [normalize(torch.cat([each.features(part) for part in known.split(PART)]), dim=1) for each in self.classifiers]

    @torch.no_grad()
    def look(self, images: Tensor) -> Seen:
        """Judge images (N, 1, 28, 28)."""
        features, digits, scores = self._scores(images)
        return Seen(features[0], features[1], digits[0], (scores <= self.limits.to(scores)).all(dim=1) & (digits[0] == digits[1]))

    def fit_limits(self, images: Tensor, share: float = REAL) -> None:
        """Set the thresholds so that this share of real images is valid: one quantile for all four, found by halving."""
        _, digits, scores = self._scores(images)
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            self.limits = scores.quantile(middle, dim=0)
            valid = (scores <= self.limits).all(dim=1) & (digits[0] == digits[1])
            low, high = (middle, high) if valid.float().mean() < share else (low, middle)

    @torch.no_grad()
    def _scores(self, images: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Of both classifiers features and digits, and what the thresholds are on, (N, 4)."""
        features: list[Tensor] = []
        digits, doubts, distances = [], [], []
        for classifier, known in zip(self.classifiers, self.known, strict=True):
            seen = torch.cat([classifier.features(part.float()) for part in images.split(PART)])
            logits = classifier.head(seen)
            features.append(seen)
            digits.append(logits[:, :10].argmax(dim=1))
            doubts.append(logits[:, 10] - logits[:, :10].logsumexp(dim=1))
            distances.append(torch.cat([torch.cdist(part, known.to(part)).amin(dim=1) for part in normalize(seen, dim=1).split(PART)]))
        return features, digits, torch.stack([*doubts, *distances], dim=1)


def controls(judge: Judge, images: Tensor, labels: Tensor) -> dict[str, float]:
    """The share of valid ones among real images, and among each kind of spoilt ones made of them (`lit_models.evaluation.corruptions`)."""
    generator = torch.Generator().manual_seed(0)
    spoilt = {name: kind(images, labels, generator) for name, kind in KINDS.items()}
    return {name: float(judge.look(each).valid.double().mean()) for name, each in ({"real images": images} | spoilt).items()}


def make_judge(first: Classifier, second: Classifier, data: MNISTDataModule) -> Judge:
    """Of two trained classifiers: near images are the first training images, thresholds are set on the validation images."""
    judge = Judge(first, second, data.images("train")[0][:KNOWN])
    judge.fit_limits(data.images("val")[0])
    return judge


def save_judge(judge: Judge, dataset: str, recipe: str, file: Path) -> None:
    """Weights in half precision, thresholds, and how it was made, as plain tensors and words."""
    state = {name: value.half() for name, value in judge.classifiers.state_dict().items()}
    hyper_parameters = [dict(each.hparams) for each in judge.classifiers]
    saved = {"state_dict": state, "classifiers": hyper_parameters, "limits": judge.limits, "dataset": dataset, "recipe": recipe}
    with replacing(file) as part:
        torch.save(saved, part)


def load_judge(dataset: str, root: str | None = None, file: Path | None = None) -> tuple[Judge, str] | None:
    """The judge of a data set and its recipe, from a file or the package; None where there is neither.

    Raises:
        ValueError: If the file is damaged or is another data set's.
    """
    file = file or SHIPPED / f"{dataset}.pt"
    if not file.is_file():
        return None
    saved = read_checkpoint(file)
    if saved["dataset"] != dataset:
        raise ValueError(f"expected a judge of {dataset}, got one of {saved['dataset']} in {file}: make one with lightning judge")
    first, second = (Classifier(**hyper_parameters) for hyper_parameters in saved["classifiers"])
    nn.ModuleList([first, second]).load_state_dict({name: value.float() for name, value in saved["state_dict"].items()})
    data = MNISTDataModule(dataset, root=root, verify=False)  # type: ignore[arg-type]
    data.setup()
    known = data.images("train")[0][:KNOWN]
    return Judge(first.eval(), second.eval(), known, saved["limits"], hashlib.sha256(file.read_bytes()).hexdigest()), saved["recipe"]
