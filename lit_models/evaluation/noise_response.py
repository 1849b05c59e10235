r"""The response of decodes to noise on their code, as curves over the noise.

About each of `places` (class centroids, or codes of images), with :math:`\epsilon \sim N(0, I)` the same at every sigma, let
:math:`\hat x_\sigma = \text{decode}(z + \sigma u \epsilon)` with u the unit of noise. The curves are

- `recognisable`: share of decodes that are recognisable to the judge;
- `kept`: share whose class is that of the place;
- `next`: among decodes of another class, the share of the class one above or below (neighbours on a line of anchors);
- `sharpness`: relative to that of the clean decodes, `decode(z)`;
- `change`: distance in a space of features to the clean decode, in units of the mean distance of two real images of one class.

`sigma50` is the noise at which `kept` falls to one half, interpolated linearly between two sigmas; None if it never does.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_models.evaluation.judge_output import JudgeOutput
from lit_models.evaluation.sharpness import sharpness

SIGMAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def response_to_noise(
    decode: Callable[[Tensor], Tensor],
    assess: Callable[[Tensor], JudgeOutput],
    features: Callable[[Tensor], Tensor],
    places: Tensor,
    units: Tensor,
    labels: Tensor,
    unit_change: float,
    sigmas: Sequence[float] = SIGMAS,
    draws: int = 100,
    generator: torch.Generator | None = None,
) -> dict[str, list[float]]:
    """Curves over `sigmas`, with one number per sigma.

    Args:
        features: The space in which the change is measured, (N, C, H, W) to (N, D).
        places, units: Codes and their unit of noise, (N, ...).
        labels: The class of each place, (N,).
        unit_change: Mean distance in features of two real images of one class (`within_class_distance`).
        draws: Draws per place.
    """
    places, units, labels = (part.repeat_interleave(draws, dim=0) for part in (places, units, labels))
    noise = torch.randn(places.shape, generator=generator).to(places)
    curves: dict[str, list[float]] = {"sigmas": list(sigmas), "recognisable": [], "kept": [], "next": [], "sharpness": [], "change": []}
    clean = _decoded(decode, places)
    clean_features, clean_sharpness = features(clean), sharpness(clean).mean()
    for sigma in sigmas:
        images = _decoded(decode, places + sigma * units * noise)
        output = assess(images)
        curves["recognisable"].append(float(output.recognisable.double().mean()))
        steps = (output.classes - labels.to(output.classes)).abs()
        curves["kept"].append(float((steps == 0).double().mean()))
        curves["next"].append(float((steps[steps > 0] == 1).double().mean()))
        curves["sharpness"].append(float(sharpness(images).mean() / clean_sharpness))
        curves["change"].append(float((features(images) - clean_features).norm(dim=1).mean()) / unit_change)
    return curves


def _decoded(decode: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([decode(part) for part in codes.split(500)])


def within_class_distance(features: Tensor, labels: Tensor) -> float:
    """Mean distance of an image's features (N, D) to those of another image of its class, one pair per image."""
    found = []
    for label in labels.unique():
        own = features[labels == label]
        found.append((own - own.roll(1, dims=0)).norm(dim=1))
    return float(torch.cat(found).mean())


def sigma50(sigmas: Sequence[float], kept: Sequence[float]) -> float | None:
    """The sigma at which a curve first falls to one half."""
    for i in range(1, len(kept)):
        if kept[i] <= 0.5 < kept[i - 1]:
            return sigmas[i - 1] + (kept[i - 1] - 0.5) / (kept[i - 1] - kept[i]) * (sigmas[i] - sigmas[i - 1])
    return None
