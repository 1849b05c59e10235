"""All measures of one trained model: its samples against real test images, its codes, its likelihood, and what noise does to it.

`Yardstick` holds what models are measured by: a data set's test images and its judge. What a model cannot do is not in the answer.
"""

import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from callbacks.figures.figure import class_places, looking, training_codes
from datamodules import MNISTDataModule
from lit_models.command.errors import UserError
from lit_models.contracts import (
    CanDecode,
    CanEncode,
    CanReconstruct,
    CanSample,
    HasAnchors,
    HasCodeLength,
    HasLogWeights,
    HasPosterior,
    HasPriors,
    HasTrainingCodes,
)  # fmt: skip
from lit_models.evaluation import SampleQuality, importance_sampled_nats, posterior_use, response_to_noise, separation, sigma50
from lit_models.evaluation.judge import Judge
from lit_models.evaluation.noise_response import within_class_distance
from lit_models.losses import PIXELS, is_binary, squared_error
from lit_models.sampling.training_codes import class_spreads

SPREADS = (0.25, 0.5, 1.0)  # of noise about class places, as samplers of their own


class Yardstick:
    """The first `n` test images of a data set and what a judge sees in them; `judge` None where the set has none.

    With `inception`, samples are compared in Inception's features too, `fid_inception`: torchmetrics fetches its weights.
    """

    def __init__(self, dataset: str, judge: Judge | None, n: int = 10_000, root: str | None = None, inception: bool = False) -> None:
        self.data = MNISTDataModule(dataset, root=root, verify=False)  # type: ignore[arg-type]
        self.data.setup()
        self.judge, self.inception = judge, inception
        self.test, self.labels = (part[:n] for part in self.data.images("test"))
        self.n = len(self.test)

    @cached_property
    def seen(self) -> Any:
        assert self.judge is not None
        return self.judge.look(self.test)

    @cached_property
    def nearest_real(self) -> float:
        """Median distance of test images to the nearest training image, over 1,000."""
        return nearest(self.test[:1000], self.data.images("train")[0])

    def quality(self, images: Tensor, asked: Tensor | None = None, kid_subsets: int = 20) -> dict[str, float]:
        """`SampleQuality` of images against as many test images, and `novelty`: the median distance of 1,000 of them to the nearest
        training image, in units of that of test images; well below 1 they are copies."""
        found: dict[str, float] = {"novelty": nearest(images[:1000], self.data.images("train")[0]) / self.nearest_real}
        if self.inception:
            found["fid_inception"] = inception_distance(self.test[: len(images)], images)
        if self.judge is None:
            return found
        n = len(images)
        seen, subset = self.judge.look(images), min(1000, n, self.n)
        widths = (seen.features.shape[1], seen.second.shape[1])
        metric = SampleQuality(widths, kid_subsets, subset)
        metric.update(self.test[:n], self.seen.of(slice(n)), real=True)
        metric.update(images, seen, real=False, asked=asked)
        return found | {name: float(value) for name, value in metric.compute().items()}

    def floor(self) -> dict[str, float]:
        """Training images in the place of samples: what the measures say of real images at this number."""
        images, labels = self.data.images("train")
        return self.quality(images[-self.n :], labels[-self.n :]) | {"novelty": 1.0}  # that of test images, which is the unit


def inception_distance(real: Tensor, drawn: Tensor) -> float:
    """FID as it is usually meant: over 2,048 features of an Inception network trained on photographs. UserError without torch-fidelity."""
    try:
        metric = FrechetInceptionDistance(normalize=True)
    except ModuleNotFoundError as error:
        raise UserError("features: inception expected torch-fidelity and its weights", str(error), "pip install torch-fidelity") from error
    for images, kind in ((real, True), (drawn, False)):
        for part in images.split(100):
            metric.update(part.expand(-1, 3, -1, -1), real=kind)
    return float(metric.compute())


def nearest(images: Tensor, others: Tensor) -> float:
    """Median Euclidean distance over pixels to the nearest of others; no more than ten million distances are held at once."""
    flat = others.flatten(1)
    rows = max(1, 10_000_000 // len(flat))
    return float(torch.cat([torch.cdist(part, flat).amin(dim=1) for part in images.flatten(1).split(rows)]).median())


def samplers(model: LightningModule) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Ways to draw from a model: their name, what `sample` is told, and whether they take labels; the model's own comes first."""
    if isinstance(model, HasPriors):
        for name, classes in model.priors.items():
            yield name, {"prior": name}, classes is not None
    elif isinstance(model, CanSample):
        yield "own", {}, model.classes is not None


def draw(model: LightningModule, n: int, how: dict[str, Any], labelled: bool, seed: int = 0) -> tuple[Tensor, Tensor | None]:
    """`n` samples on the CPU, and the digits asked for: all ten in turn where the sampler takes labels."""
    asked = torch.arange(n) % 10 if labelled else None
    with looking(model):
        return model.sample(n, asked, Generator().manual_seed(seed), **how).float().cpu(), asked


def draw_about_places(model: LightningModule, asked: Tensor, spread: float, generator: Generator) -> Tensor:
    """Decodes of the places (centroids or anchors) of the digits asked for, with noise in their unit, on the CPU."""
    with looking(model):
        places, units, _ = class_places(model)
        noise = torch.randn(len(asked), *places.shape[1:], generator=generator).to(places)
        codes = places[asked] + spread * units[asked] * noise
        return torch.cat([model.decode(part) for part in codes.split(500)]).float().cpu()


def timed_samples(model: LightningModule, how: dict[str, Any]) -> float:
    """Seconds that 1,000 samples take, the density fitted already."""
    draw(model, 10, how, False)
    start = time.perf_counter()
    draw(model, 1000, how, False)
    return time.perf_counter() - start


def measure_codes(model: LightningModule, images: Tensor, labels: Tensor, draws: int = 0) -> dict[str, Any]:
    """Error of reconstruction, likelihood and use of the codes on test images as the model takes them (binarised, if it was trained so).

    Args:
        draws: For each of 1,000 images, of the importance-sampled likelihood; 0 leaves it out.
    Raises:
        ValueError: For draws where images have no likelihood.
    """
    found: dict[str, Any] = {}
    parts = images.split(500)
    with looking(model):
        if isinstance(model, CanReconstruct):
            errors = torch.cat([squared_error(model.reconstruct(part), part) for part in parts])
            found["mse"] = float(errors.mean()) / PIXELS
        if isinstance(model, HasPosterior):
            mean, log_var = (torch.cat(part) for part in zip(*(model.posterior(part) for part in parts), strict=True))
            use, found["kl_by_number"] = posterior_use(mean, log_var)
            found |= use
        if isinstance(model, CanEncode) and isinstance(model, HasTrainingCodes):
            codes = torch.cat([model.encode(part) for part in parts])
            found |= separation(training_codes(model), (codes, labels))
        if draws and isinstance(model, HasLogWeights):
            found["nats"], found["nats_error"] = importance_sampled_nats(
                model.log_weights, images[:1000], draws, Generator().manual_seed(0)
            )
        if is_binary(images) and isinstance(model, HasCodeLength):
            nats = torch.cat([model.code_length(part) for part in parts])
            found["nats"], found["nats_error"] = float(nats.mean()), float(nats.std() / len(nats) ** 0.5)
    return found


def measure_reconstructions(model: LightningModule, yardstick: Yardstick) -> dict[str, float]:
    """Of reconstructions of test images, the shares that are digits (`reconstruction_valid`) and the right ones (`reconstruction_kept`)."""
    if yardstick.judge is None or not isinstance(model, CanReconstruct):
        return {}
    with looking(model):
        images = torch.cat([model.reconstruct(part) for part in yardstick.test.split(500)])
    seen = yardstick.judge.look(images)
    kept = (seen.digits == yardstick.labels).double().mean()
    return {"reconstruction_valid": float(seen.valid.double().mean()), "reconstruction_kept": float(kept)}


def measure_responses(model: LightningModule, yardstick: Yardstick, draws: int = 100) -> dict[str, dict[str, Any]]:
    """What noise does at the class places, "centroids", and at the codes of ten test images of each digit, "codes"."""
    if yardstick.judge is None or not isinstance(model, CanDecode) or not isinstance(model, HasAnchors | HasTrainingCodes):
        return {}
    unit_change = within_class_distance(yardstick.seen.features, yardstick.labels)
    found: dict[str, dict[str, Any]] = {}
    with looking(model):
        places, units, unit = class_places(model)
        todo = {"centroids": (places, units, torch.arange(len(places)), draws)}
        if isinstance(model, CanEncode) and isinstance(model, HasTrainingCodes):
            rows = torch.cat([(yardstick.labels == digit).nonzero()[:10, 0] for digit in range(10)])
            labels = yardstick.labels[rows]
            todo["codes"] = (model.encode(yardstick.test[rows]), class_spreads(*training_codes(model))[labels], labels, max(1, draws // 10))
        for name, (codes, unit_of_noise, labels, each) in todo.items():
            generator = Generator().manual_seed(0)
            look = yardstick.judge.look
            curves = response_to_noise(model.decode, look, codes, unit_of_noise, labels, unit_change, draws=each, generator=generator)
            found[name] = {"unit": unit, **curves, "sigma50": sigma50(curves["sigmas"], curves["kept"])}
    return found
