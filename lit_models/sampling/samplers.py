"""The samplers of a model, and samples from them: what `--sampler` and `--noise` of the commands mean."""

import inspect

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor

from lit_models.contracts import CanSample, HasSamplers
from lit_models.sampling.class_places import class_places
from lit_models.sampling.evaluation_mode import evaluation_mode
from lit_models.sampling.temperature import checked_temperature


def samplers_of(model: LightningModule) -> dict[str, int | None]:
    """The samplers of a model, its default first, and the number of labels that each takes. A model with one way has `own`."""
    if isinstance(model, HasSamplers):
        return {model.default_sampler: model.samplers[model.default_sampler]} | dict(model.samplers)
    return {"own": model.classes} if isinstance(model, CanSample) else {}


def takes_temperature(model: LightningModule) -> bool:
    """Whether `model.sample` has the argument; that of a model of the user's own may lack it."""
    parameters = inspect.signature(model.sample).parameters
    return "temperature" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def temperature_options(model: LightningModule, temperature: float | None) -> dict[str, float]:
    """The arguments by which `model.sample` is given a temperature: none if the temperature is None, the model's default.

    Raises:
        ValueError: If the temperature is not finite and above 0, or if `sample` of a model of the user's own does not take it.
    """
    if temperature is None:
        return {}
    if not takes_temperature(model):
        raise ValueError(
            f"expected a model that is sampled at a temperature, got {type(model).__name__}, whose sample takes no temperature"
        )
    return {"temperature": checked_temperature(temperature)}


def draw(
    model: LightningModule, n: int, sampler: str, labelled: bool = True, seed: int = 0, temperature: float | None = None
) -> tuple[Tensor, Tensor | None]:
    """`n` samples on the CPU, and the labels asked for: all classes in turn if the sampler takes labels and `labelled`.

    The temperature is by default that of the model.
    """
    classes = samplers_of(model)[sampler]
    asked = torch.arange(n) % classes if classes and labelled else None
    options = ({"sampler": sampler} if isinstance(model, HasSamplers) else {}) | temperature_options(model, temperature)
    with evaluation_mode(model):
        return model.sample(n, asked, Generator().manual_seed(seed), **options).float().cpu(), asked


def draw_about_places(model: LightningModule, asked: Tensor, spread: float, generator: Generator) -> Tensor:
    """Decodes of the places (centroids or anchors) of the classes asked for, with noise in their unit, on the CPU."""
    with evaluation_mode(model):
        places, units, _ = class_places(model)
        noise = torch.randn(len(asked), *places.shape[1:], generator=generator).to(places)
        codes = places[asked] + spread * units[asked] * noise
        return torch.cat([model.decode(part) for part in codes.split(500)]).float().cpu()
