"""All measures of one trained model: its samples against real test images, its codes, its likelihood, and its response to noise.

`Yardstick` holds what models are measured against: the test images of a data set and its judge. What a model cannot do is left out.
"""

import time
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from lit_models.contracts import (
    CanDecode,
    CanEncode,
    CanReconstruct,
    HasAnchors,
    HasCodeLength,
    HasImages,
    HasLogWeights,
    HasPosterior,
    HasTrainingCodes,
)  # fmt: skip
from lit_models.evaluation.codes import posterior_use, separation
from lit_models.evaluation.judge import Judge
from lit_models.evaluation.judge_output import JudgeOutput
from lit_models.evaluation.likelihood import importance_sampled_nats
from lit_models.evaluation.noise_response import response_to_noise, sigma50, within_class_distance
from lit_models.evaluation.sample_quality import SampleQuality
from lit_models.losses import PIXELS, is_binary, squared_error
from lit_models.sampling.class_places import class_places, class_spreads, code_vectors
from lit_models.sampling.evaluation_mode import evaluation_mode
from lit_models.sampling.samplers import draw

SPREADS = (0.25, 0.5, 1.0)  # of noise about class places, which are measured as further samplers


class Yardstick:
    """The first `n` test images of a data set, and its judge (None if it has none).

    Args:
        data: The whole data set, set up (`lit_models.contracts.HasWholeData`).
        inception: Whether samples are also compared in Inception's features, `fid_inception`; torchmetrics downloads its weights.
    """

    def __init__(self, data: HasImages, judge: Judge | None, n: int = 10_000, inception: bool = False) -> None:
        self.data, self.judge, self.inception = data, judge, inception
        self.test, self.labels = (part[:n] for part in data.images("test"))
        self.n = len(self.test)

    @cached_property
    def real(self) -> JudgeOutput:
        """The judge's output for the test images."""
        assert self.judge is not None
        return self.judge.assess(self.test)

    @cached_property
    def nearest_real(self) -> float:
        """Median distance of test images to the nearest training image, over 1,000."""
        return nearest(self.test[:1000], self.data.images("train")[0])

    def quality(self, images: Tensor, asked: Tensor | None = None, kid_subsets: int = 20) -> dict[str, float]:
        """`SampleQuality` of images against as many test images, and `novelty`.

        Novelty is the median distance of 1,000 images to the nearest training image, in units of that of test images. Copies have a novelty
        well below 1.
        """
        found: dict[str, float] = {"novelty": nearest(images[:1000], self.data.images("train")[0]) / self.nearest_real}
        if self.inception:
            found["fid_inception"] = inception_distance(self.test[: len(images)], images)
        if self.judge is None:
            return found
        n = len(images)
        output, subset = self.judge.assess(images), min(1000, n, self.n)
        widths = (output.features.shape[1], output.second.shape[1])
        metric = SampleQuality(widths, kid_subsets, subset)
        metric.update(self.test[:n], self.real.rows(slice(n)), real=True)
        metric.update(images, output, real=False, asked=asked)
        return found | {name: float(value) for name, value in metric.compute().items()}

    def floor(self) -> dict[str, float]:
        """Training images in the place of samples: what the measures say of real images at this number."""
        images, labels = self.data.images("train")
        return self.quality(images[-self.n :], labels[-self.n :]) | {"novelty": 1.0}  # that of test images, which is the unit


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


def nearest(images: Tensor, others: Tensor) -> float:
    """Median Euclidean distance over pixels to the nearest of `others`; at most ten million distances are held at once."""
    flat = others.flatten(1)
    rows = max(1, 10_000_000 // len(flat))
    return float(torch.cat([torch.cdist(part, flat).amin(dim=1) for part in images.flatten(1).split(rows)]).median())


def seconds_per_1000_samples(model: LightningModule, sampler: str) -> float:
    """Seconds that 1,000 samples take; the time of fitting a density is not in it."""
    draw(model, 10, sampler, labelled=False)
    start = time.perf_counter()
    draw(model, 1000, sampler, labelled=False)
    return time.perf_counter() - start


def measure_codes(model: LightningModule, images: Tensor, labels: Tensor, draws: int = 0) -> dict[str, Any]:
    """Reconstruction error, likelihood and use of the codes, on test images as the model takes them (binarised, if it was trained so).

    Args:
        draws: Draws per image of the importance-sampled likelihood, over 1,000 images; 0 leaves it out.
    Raises:
        ValueError: For draws where images have no likelihood.
    """
    found: dict[str, Any] = {}
    parts = images.split(500)
    with evaluation_mode(model):
        if isinstance(model, CanReconstruct):
            errors = torch.cat([squared_error(model.reconstruct(part), part) for part in parts])
            found["mse"] = float(errors.mean()) / PIXELS
        if isinstance(model, HasPosterior):
            mean, log_var = (torch.cat(part) for part in zip(*(model.posterior(part) for part in parts), strict=True))
            use, found["kl_by_number"] = posterior_use(mean, log_var)
            found |= use
        if isinstance(model, CanEncode) and isinstance(model, HasTrainingCodes):
            codes = torch.cat([model.encode(part) for part in parts])
            found |= separation(code_vectors(model), (codes, labels))
        if draws and isinstance(model, HasLogWeights):
            found["nats"], found["nats_error"] = importance_sampled_nats(
                model.log_weights, images[:1000], draws, Generator().manual_seed(0)
            )
        if is_binary(images) and isinstance(model, HasCodeLength):
            nats = torch.cat([model.code_length(part) for part in parts])
            found["nats"], found["nats_error"] = float(nats.mean()), float(nats.std() / len(nats) ** 0.5)
    return found


def measure_reconstructions(model: LightningModule, yardstick: Yardstick) -> dict[str, float]:
    """Shares of reconstructed test images that are recognisable, and that show the right class."""
    if yardstick.judge is None or not isinstance(model, CanReconstruct):
        return {}
    with evaluation_mode(model):
        images = torch.cat([model.reconstruct(part) for part in yardstick.test.split(500)])
    output = yardstick.judge.assess(images)
    kept = (output.classes == yardstick.labels).double().mean()
    return {"reconstruction_recognisable": float(output.recognisable.double().mean()), "reconstruction_kept": float(kept)}


def measure_responses(model: LightningModule, yardstick: Yardstick, draws: int = 100) -> dict[str, dict[str, Any]]:
    """The response to noise at the class places, "centroids", and at the codes of ten test images per class, "codes"."""
    if yardstick.judge is None or not isinstance(model, CanDecode) or not isinstance(model, HasAnchors | HasTrainingCodes):
        return {}
    unit_change = within_class_distance(yardstick.real.features, yardstick.labels)
    found: dict[str, dict[str, Any]] = {}
    with evaluation_mode(model):
        places, units, unit = class_places(model)
        todo = {"centroids": (places, units, torch.arange(len(places)), draws)}
        if isinstance(model, CanEncode) and isinstance(model, HasTrainingCodes):
            rows = torch.cat([(yardstick.labels == label).nonzero()[:10, 0] for label in range(len(places))])
            labels = yardstick.labels[rows]
            todo["codes"] = (model.encode(yardstick.test[rows]), class_spreads(*code_vectors(model))[labels], labels, max(1, draws // 10))
        for name, (codes, unit_of_noise, labels, each) in todo.items():
            generator = Generator().manual_seed(0)
            assess = yardstick.judge.assess
            curves = response_to_noise(model.decode, assess, codes, unit_of_noise, labels, unit_change, draws=each, generator=generator)
            found[name] = {"unit": unit, **curves, "sigma50": sigma50(curves["sigmas"], curves["kept"])}
    return found
