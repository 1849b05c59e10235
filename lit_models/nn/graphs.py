"""The functions of a trained model that other programs can run: tensors in, one tensor out, no randomness.

| graph | of | inputs | output |
|---|---|---|---|
| `encode` | models that encode | images (B, C, H, W) in [0, 1] | codes |
| `decode` | models that decode | codes | images in [0, 1] |
| `start` | a flow over codes | standard normal noise (B, D) | the codes at time 0 |
| `velocity` | a flow over codes, or in pixels | codes or noisy images in [-1, 1], times (B,), labels (B,) | their velocity |
| `draw` | couplings | standard normal noise (B, D), labels (B,) | codes |
| `lookup` | a codebook | indices (B, h, w) | codes |
| `logits` | a prior over indices | indices (B, P), labels (B,) | logits of the codes, (B, P, K) |
| `logits` | autoregressive pixels | images of 0 and 1, labels (B,) | logits of the pixels |

A sample of a flow is the end of :math:`dx/dt = v(x, t, y)` from time 0 to 1. A label of a flow that is equal to the number of classes means
no label. The autoregressive prior gives the logits of each code from those before it, as autoregressive pixels do; the masked prior takes K
as a masked code.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lit_models.contracts import CanDecode, CanEncode, CanSample, HasCodebook


class Graph(nn.Module):
    """A function of a model as a network of its own."""

    def __init__(self, model: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


@dataclass(frozen=True)
class GraphOf:
    """A graph, with an example of each input by name; the first dimension of all inputs is the batch."""

    network: Graph
    inputs: dict[str, Tensor]


def graphs_of(model: LightningModule) -> dict[str, GraphOf]:
    """The graphs of a model by name, in evaluation mode.

    Raises:
        ValueError: If the model has none.
    """
    model.eval()
    known: Any = model  # which attributes it has, its verbs tell
    shape = tuple(getattr(known, "image_shape", (1, 28, 28)))
    images, times, labels = torch.rand(2, *shape), torch.tensor([0.25, 0.5]), torch.zeros(2, dtype=torch.long)
    found: dict[str, tuple[Callable[..., Tensor], dict[str, Tensor]]] = {}
    if isinstance(known, CanEncode):
        found["encode"] = known.encode, {"images": images}
    if isinstance(known, CanDecode):
        found["decode"] = known.decode, {"codes": codes_of(model, images)}
    if isinstance(model, HasCodebook):
        indices = known.indices(images)
        found["lookup"] = known.lookup, {"indices": indices}
        found["logits"] = known.prior, {"indices": indices.flatten(1), "labels": labels}
    elif getattr(known, "path", None) is not None and hasattr(known, "denoise"):
        found["velocity"] = velocity_in_pixels(known), {"images": 2 * images - 1, "times": times, "labels": labels}
    elif hasattr(known, "logits"):
        found["logits"] = known.logits, {"images": images.round(), "labels": labels}
    elif (prior := getattr(known, "prior", None)) is not None:
        noise = torch.randn(2, prior.width)
        if hasattr(prior, "averaged_couplings"):
            found["draw"] = draw_by_couplings(prior), {"noise": noise, "labels": labels}
        elif not hasattr(known, "words"):  # a flow that reads words is told tokens
            found["start"] = prior.scale.restore, {"noise": noise}
            found["velocity"] = velocity_of_codes(prior), {"codes": prior.scale.restore(noise), "times": times, "labels": labels}
    if not found:
        raise ValueError(f"expected a model that encodes, decodes or is sampled in steps\ngot {type(model).__name__}")
    return {name: GraphOf(Graph(model, function), inputs) for name, (function, inputs) in found.items()}


def codes_of(model: Any, images: Tensor) -> Tensor:
    """Two codes as `decode` takes them: those of images or, without an encoder, those of two samples."""
    if isinstance(model, CanEncode):
        return model.encode(images).detach()
    if not isinstance(model, CanSample):
        raise ValueError(f"expected a model that encodes or is sampled\ngot {type(model).__name__}")
    with noting_codes(model) as given:
        model.sample(2)
    return given[0].detach()


@contextmanager
def noting_codes(model: Any) -> Iterator[list[Tensor]]:
    """The codes that a model decodes inside the block."""
    given: list[Tensor] = []
    decode = model.decode

    def noting(codes: Tensor) -> Tensor:
        given.append(codes)
        return decode(codes)

    object.__setattr__(model, "decode", noting)  # nn.Module would look for a parameter
    try:
        yield given
    finally:
        object.__delattr__(model, "decode")


def velocity_of_codes(prior: Any) -> Callable[..., Tensor]:
    def velocity(codes: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        return prior.scale.spread * prior.averaged_velocity(prior.scale.standardise(codes), times, labels)

    return velocity


def velocity_in_pixels(model: Any) -> Callable[..., Tensor]:
    def velocity(images: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        return model.path.velocity(images, model.averaged_network(images, times, labels), times)

    return velocity


def draw_by_couplings(prior: Any) -> Callable[..., Tensor]:
    def draw(noise: Tensor, labels: Tensor) -> Tensor:
        return prior.scale.restore(prior.averaged_couplings.module.inverse(noise, labels))

    return draw
