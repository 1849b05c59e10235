"""The samplers of a model, and samples from them: what `--sampler` and `--noise` of the commands mean."""

import inspect
from typing import Any

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


def takes(model: LightningModule, option: str) -> bool:
    """Whether `model.sample` has this argument, such as `temperature`; that of a model of the user's own may lack it."""
    parameters = inspect.signature(model.sample).parameters
    return option in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def sampling_options(
    model: LightningModule, temperature: float | None = None, steps: int | None = None, guidance: float | None = None
) -> dict[str, Any]:
    """The arguments by which `model.sample` is given these options; None leaves an option to the model.

    Raises:
        ValueError: If the temperature is not finite and above 0, or if `model.sample` does not take an option.
    """
    if temperature is not None:
        checked_temperature(temperature)
    given = {"temperature": temperature, "steps": steps, "guidance": guidance}
    found = {name: value for name, value in given.items() if value is not None}
    for name in found:
        if not takes(model, name):
            manner = {"temperature": "at a temperature", "steps": "in steps", "guidance": "with guidance"}[name]
            raise ValueError(f"expected a model that is sampled {manner}, got {type(model).__name__}, whose sample takes no {name}")
    return found


def draw(
    model: LightningModule, n: int, sampler: str, labelled: bool = True, seed: int = 0, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """`n` samples on the CPU, and the labels asked for: all classes in turn if the sampler takes labels and `labelled`.

    Args:
        options: Those of `sampling_options`.
    """
    classes = samplers_of(model)[sampler]
    asked = torch.arange(n) % classes if classes and labelled else None
    given = ({"sampler": sampler} if isinstance(model, HasSamplers) else {}) | sampling_options(model, **options)
    generator = Generator().manual_seed(seed)
    with evaluation_mode(model):
        return model.sample(n, asked, generator, **given).float().cpu(), asked


def draw_about_places(model: LightningModule, asked: Tensor, spread: float, generator: Generator) -> Tensor:
    """Decodes of the places (centroids or anchors) of the classes asked for, with noise in their unit, on the CPU."""
    with evaluation_mode(model):
        places, units, _ = class_places(model)
        noise = torch.randn(len(asked), *places.shape[1:], generator=generator).to(places)
        codes = places[asked] + spread * units[asked] * noise
        return torch.cat([model.decode(part) for part in codes.split(500)]).float().cpu()
