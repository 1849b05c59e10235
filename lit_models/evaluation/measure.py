"""Measures of one trained model besides those of its samples: its codes, its likelihood, its response to noise, its speed.

`lit_models.evaluation.yardstick` measures samples. What a model cannot do is left out.
"""

import math
import time
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor

from lit_models.contracts import (
    CanDecode,
    CanEncode,
    CanReconstruct,
    HasAnchors,
    HasCodeLength,
    HasLogLikelihood,
    HasLogWeights,
    HasPosterior,
    HasTrainingCodes,
    StartsFromNoise,
)  # fmt: skip
from lit_models.evaluation.codes import posterior_use, separation
from lit_models.evaluation.likelihood import LogWeights, importance_sampled_nats
from lit_models.evaluation.noise_response import response_to_noise, sigma50, within_class_distance
from lit_models.evaluation.yardstick import Yardstick
from lit_models.losses import is_binary, squared_error
from lit_models.sampling.class_places import class_places, class_spreads, code_vectors
from lit_models.sampling.evaluation_mode import evaluation_mode
from lit_models.sampling.samplers import draw

NOISE = 4000  # images that are made of noise to see what it decides
SPREADS = (0.25, 0.5, 1.0)  # of noise about class places, which are measured as further samplers


def seconds_per_1000_samples(model: LightningModule, sampler: str, **options: Any) -> float:
    """Seconds that 1,000 samples take; the time of fitting a density is not in it."""
    draw(model, 10, sampler, labelled=False, **options)
    start = time.perf_counter()
    draw(model, 1000, sampler, labelled=False, **options)
    return time.perf_counter() - start


def measure_codes(
    model: LightningModule, images: Tensor, labels: Tensor | None, draws: int = 0, sampler: str | None = None
) -> dict[str, Any]:
    """Reconstruction error, likelihood and use of the codes, on images as the model takes them (binarised, if it was trained so).

    Without labels, what depends on classes is left out.

    Args:
        draws: Draws per image of the importance-sampled likelihood, or of the estimated likelihood of a flow, over 1,000 images; 0
            leaves it out.
        sampler: The sampler whose distribution is the prior p(z) of this likelihood, by default the model's own.
    Raises:
        ValueError: For draws where images have no likelihood.
    """
    found: dict[str, Any] = {}
    parts = images.split(500)
    with evaluation_mode(model):
        if isinstance(model, CanReconstruct):
            errors = torch.cat([squared_error(model.reconstruct(part), part) for part in parts])
            found["mse"] = float(errors.mean()) / images[0].numel()
        if isinstance(model, HasPosterior):
            mean, log_var = (torch.cat(part) for part in zip(*(model.posterior(part) for part in parts), strict=True))
            use, found["kl_by_number"] = posterior_use(mean, log_var)
            found |= use
        if labels is not None and isinstance(model, CanEncode) and isinstance(model, HasTrainingCodes):
            codes = torch.cat([model.encode(part) for part in parts])
            found |= separation(code_vectors(model), (codes, labels))
        if draws and isinstance(model, HasLogWeights):
            log_weights: LogWeights = partial(model.log_weights, sampler=sampler) if sampler else model.log_weights
            found["nats"], found["nats_error"] = importance_sampled_nats(log_weights, images[:1000], draws, Generator().manual_seed(0))
        if is_binary(images) and isinstance(model, HasCodeLength):
            found |= _mean_and_error(torch.cat([model.code_length(part) for part in parts]))
        if is_binary(images) and isinstance(model, HasLogLikelihood) and model.exact:
            found |= _mean_and_error(-torch.cat([model.log_likelihood(part) for part in parts]))
        if draws and isinstance(model, HasLogLikelihood) and not model.exact:
            found |= _bits(model, images[:1000], draws)
    return found


def _bits(model: HasLogLikelihood, images: Tensor, draws: int) -> dict[str, float]:
    """The mean bits per dimension of images with 256 grey levels, each by the mean of `draws` estimates, and its standard error."""
    generator = Generator().manual_seed(0)
    each = [torch.cat([model.log_likelihood(part, generator) for part in images.split(250)]) for _ in range(draws)]
    nats, per_dim = _mean_and_error(-torch.stack(each).mean(dim=0)), images[0].numel() * math.log(2)
    return {"bits_per_dim": nats["nats"] / per_dim, "bits_per_dim_error": nats["nats_error"] / per_dim}


def _mean_and_error(nats: Tensor) -> dict[str, float]:
    """The mean nats of images and its standard error."""
    return {"nats": float(nats.mean()), "nats_error": float(nats.std() / len(nats) ** 0.5)}


def measure_reconstructions(model: LightningModule, yardstick: Yardstick) -> dict[str, float]:
    """Shares of reconstructed real images that are recognisable, and that show the right class."""
    if yardstick.judge is None or not isinstance(model, CanReconstruct):
        return {}
    with evaluation_mode(model):
        images = torch.cat([model.reconstruct(part) for part in yardstick.real.split(500)])
    output = yardstick.judge.assess(images)
    kept = (output.classes == yardstick.labels).double().mean()
    return {"reconstruction_recognisable": float(output.recognisable.double().mean()), "reconstruction_kept": float(kept)}


def measure_noise(model: LightningModule, yardstick: Yardstick, n: int = NOISE) -> dict[str, float]:
    """`noise_probe`: how well a linear classifier reads from noise which class the judge sees in the image that the model makes of it.

    Its accuracy on a quarter of `n` images without labels, after it has learned from the others. The most frequent class alone would give
    `noise_chance`. A model whose noise has no place for a class cannot be steered by it. If all images show one class, there is no probe.
    """
    like = next(model.parameters())
    if yardstick.judge is None or not isinstance(model, StartsFromNoise):
        return {}
    noise = torch.randn(n, *model.noise_shape, generator=Generator().manual_seed(0))
    with evaluation_mode(model):
        images = torch.cat([model.from_noise(part.to(like)).float().cpu() for part in noise.split(500)])
    classes, train = yardstick.judge.assess(images).classes, 3 * n // 4
    found = separation((noise[:train], classes[:train]), (noise[train:], classes[train:]))
    chance = {"noise_chance": float(classes[train:].bincount().max() / (n - train))}
    return ({"noise_probe": found["probe"]} if found else {}) | chance


def measure_responses(model: LightningModule, yardstick: Yardstick, draws: int = 100) -> dict[str, dict[str, Any]]:
    """The response to noise at the class places, "centroids", and at the codes of ten real images per class, "codes"."""
    if (
        yardstick.judge is None
        or yardstick.labels is None
        or not isinstance(model, CanDecode)
        or not isinstance(model, HasAnchors | HasTrainingCodes)
    ):
        return {}
    space = next(iter(yardstick.spaces.widths))
    unit_change = within_class_distance(yardstick.real_features[space], yardstick.labels)
    found: dict[str, dict[str, Any]] = {}
    with evaluation_mode(model):
        places, units, unit = class_places(model)
        todo = {"centroids": (places, units, torch.arange(len(places)), draws)}
        if isinstance(model, CanEncode) and isinstance(model, HasTrainingCodes):
            rows = torch.cat([(yardstick.labels == label).nonzero()[:10, 0] for label in range(len(places))])
            labels = yardstick.labels[rows]
            todo["codes"] = (
                model.encode(yardstick.real[rows]),
                class_spreads(*code_vectors(model), len(places))[labels],
                labels,
                max(1, draws // 10),
            )
        for name, (codes, unit_of_noise, labels, each) in todo.items():
            generator = Generator().manual_seed(0)
            curves = response_to_noise(
                model.decode,
                yardstick.judge.assess,
                lambda images: yardstick.spaces.features(space, images),
                codes,
                unit_of_noise,
                labels,
                unit_change,
                draws=each,
                generator=generator,
            )
            found[name] = {"unit": unit, **curves, "sigma50": sigma50(curves["sigmas"], curves["kept"])}
    return found
