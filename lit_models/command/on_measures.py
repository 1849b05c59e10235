"""What `lightning test` says of a model beside its losses: samples, codes and noise, samples with what real images have at their number."""

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from lit_models.command.errors import UserError
from lit_models.contracts import CanSample, HasLogWeights
from lit_models.evaluation import HEADLINES
from lit_models.evaluation.judge import load_judge
from lit_models.evaluation.measure import (
    Yardstick,
    draw,
    measure_codes,
    measure_reconstructions,
    measure_responses,
    samplers,
    timed_samples,
)


def measure(model: LightningModule, dataset: str, test: tuple[Tensor, Tensor], given: Any) -> dict[str, Any]:
    """Print all measures of a model on test images as it takes them, and give them by name.

    `test` has images and labels, `given` has `samples`, how many (0 leaves them out), `draws` of the likelihood, `density` and `root`.
    """
    found = load_judge(dataset, given.root)
    judge = found[0] if found else None
    yardstick = Yardstick(dataset, judge, given.samples or 1000, given.root)
    values: dict[str, Any] = {}
    print(f"judge    {f'sha256 {judge.sha256[:12]}' if judge else f'none for {dataset}: measures that need one are n/a'}")
    if given.samples and isinstance(model, CanSample):
        ways = {name: (how, labelled) for name, how, labelled in samplers(model)}
        name = given.density or next(iter(ways))
        if name not in ways:
            raise UserError(f"--density expected one of {', '.join(ways)}", f"got {given.density}")
        how, labelled = ways[name]
        drawn, asked = draw(model, yardstick.n, how, labelled)
        values |= yardstick.quality(drawn, asked) | {"sample_seconds": timed_samples(model, how)}
        _print(f"{yardstick.n} samples ({name}), and as many training images, against test images", values, yardstick.floor())
    codes = measure_codes(model, *test, given.draws or 0) | measure_reconstructions(model, yardstick)
    for place, curves in measure_responses(model, yardstick).items():
        codes |= {f"sigma50_{place}": math.nan if curves["sigma50"] is None else curves["sigma50"]}
        print(f"noise at {place}, sigma in {curves['unit']}: " + " ".join(f"{sigma:>6g}" for sigma in curves["sigmas"]))
        for name in ("valid", "kept", "sharpness", "change"):
            print(f"  {name:20} " + " " * (len(place) + len(curves["unit"])) + " ".join(f"{value:6.3f}" for value in curves[name]))
    if codes:
        _print("codes and likelihood on test images", codes, {})
    if given.draws and isinstance(model, HasLogWeights):
        print(f"nats: an upper bound, by {given.draws} draws for each of {len(test[0][:1000])} images")
    return values | codes


def _print(title: str, values: dict[str, Any], real: dict[str, float]) -> None:
    print(f"{title}:")
    for name, value in values.items():
        print(f"{f'test/{name}':26} {_shown(value):>10}" + (f"   real {_shown(real[name])}" if name in real else ""))


def _shown(value: float | list[float]) -> str:
    if isinstance(value, list):
        return " ".join(f"{each:.3g}" for each in value)
    return "n/a" if math.isnan(value) else f"{value:.4g}"


def log_measures(run: Path, values: dict[str, Any], step: int) -> None:
    """The headlines as `test/...` into the run's TensorBoard, where HPARAMS shows them beside the hyperparameters."""
    with SummaryWriter(str(run)) as writer:
        for name in HEADLINES:
            if name in values:
                writer.add_scalar(f"test/{name}", values[name], step)
