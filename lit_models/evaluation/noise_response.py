r"""What noise on a code does to its decode, as curves over the noise.

About each of `places` (class centroids, or codes of images), with :math:`\epsilon \sim N(0, I)` the same at every sigma,
:math:`\hat x_\sigma = \text{decode}(z + \sigma u \epsilon)` with u the unit of noise, and

- `valid`: share of decodes that are digits;
- `kept`: share whose digit is that of the place;
- `next`: of those whose digit is another, the share of digits one above or below (which are neighbours on a line of anchors);
- `sharpness`: relative to that of the clean decodes, `decode(z)`;
- `change`: distance in the judge's features to the clean decode, in units of the mean distance of two real images of one class;
- `sigma50`: the noise at which `kept` falls to one half, between two sigmas by a straight line; None if it never does.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_models.evaluation.judge_output import Seen
from lit_models.evaluation.sharpness import sharpness

SIGMAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def response_to_noise(
    decode: Callable[[Tensor], Tensor],
    look: Callable[[Tensor], Seen],
    places: Tensor,
    units: Tensor,
    labels: Tensor,
    unit_change: float,
    sigmas: Sequence[float] = SIGMAS,
    draws: int = 100,
    generator: torch.Generator | None = None,
) -> dict[str, list[float]]:
    """Curves over `sigmas`, a number each.

    Args:
        places, units: Codes and their unit of noise, (N, ...); labels: their digits, (N,).
        unit_change: Mean distance in features of two real images of one class (`within_class_distance`).
        draws: For each place.
    """
    places, units, labels = (part.repeat_interleave(draws, dim=0) for part in (places, units, labels))
    noise = torch.randn(places.shape, generator=generator).to(places)
    curves: dict[str, list[float]] = {"sigmas": list(sigmas), "valid": [], "kept": [], "next": [], "sharpness": [], "change": []}
    clean = _decoded(decode, places)
    clean_features, clean_sharpness = look(clean).features, sharpness(clean).mean()
    for sigma in sigmas:
        images = _decoded(decode, places + sigma * units * noise)
        seen = look(images)
        curves["valid"].append(float(seen.valid.double().mean()))
        steps = (seen.digits - labels.to(seen.digits)).abs()
        curves["kept"].append(float((steps == 0).double().mean()))
        curves["next"].append(float((steps[steps > 0] == 1).double().mean()))
        curves["sharpness"].append(float(sharpness(images).mean() / clean_sharpness))
        curves["change"].append(float((seen.features - clean_features).norm(dim=1).mean()) / unit_change)
    return curves


def _decoded(decode: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([decode(part) for part in codes.split(500)])


def within_class_distance(features: Tensor, labels: Tensor) -> float:
    """Mean distance of an image's features (N, D) to those of another of its class, a pair an image."""
    found = []
    for digit in labels.unique():
        own = features[labels == digit]
        found.append((own - own.roll(1, dims=0)).norm(dim=1))
    return float(torch.cat(found).mean())


def sigma50(sigmas: Sequence[float], kept: Sequence[float]) -> float | None:
    """Where a curve first falls to one half."""
    for i in range(1, len(kept)):
        if kept[i] <= 0.5 < kept[i - 1]:
            return sigmas[i - 1] + (kept[i - 1] - 0.5) / (kept[i - 1] - kept[i]) * (sigmas[i] - sigmas[i - 1])
    return None
