"""Measures the trained systems of a study, once: answers are kept in `measures/`, pictures in `pictures/`."""

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from PIL import Image, ImageChops

from callbacks.figures.picture import grid_picture
from lit_models.checkpoints.files import replacing
from lit_models.command.on_runs import data_of, load
from lit_models.contracts import CanDecode, HasAnchors, HasTrainingCodes
from lit_models.evaluation.measure import (
    SPREADS,
    Yardstick,
    draw,
    draw_about_places,
    measure_codes,
    measure_reconstructions,
    measure_responses,
    samplers,
    timed_samples,
)  # fmt: skip
from lit_models.losses import is_binary
from lit_models.study.plan import Plan, System
from lit_models.study.training import folder_of, run_in

ON_THE_WAY = ("valid", "fid", "density", "coverage", "control", "balance", "spread", "sharpness")
FIGURES = {
    "reconstructions": "reconstructions",
    "centroids": "centroids/noise",
    "neighbours": "neighbours",
    "latents": "latents/p*",
}  # kind of picture, and the tag of the run's figure: codes of two numbers as they are, latents/plane, others by PCA


def measure_system(study: Path, system: System, seed: int, plan: Plan, yardstick: Yardstick, small: Yardstick, root: str | None) -> None:
    """Everything about one trained system, into `measures/NAME_seed_N.json`.

    Args:
        yardstick: For the final model; `small`, with fewer images, for its snapshots.
    """
    run = run_in(folder_of(study, system, seed))
    assert run is not None
    best = run / "checkpoints" / "best.ckpt"
    final = best if best.is_file() else best.with_name("last.ckpt")
    model, saved = load(final, None)
    data = data_of(saved, root)
    data.setup()
    images, labels = data.images("test")
    draws = plan.draws if seed == plan.seeds_of(system)[0] and is_binary(images) else 0
    found: dict[str, Any] = {
        "system": system.name,
        "seed": seed,
        "trained": saved["trained"],  # until the model that is kept
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "decoder_parameters": _decoder_parameters(model),
        "codes": measure_codes(model, images, labels, draws) | measure_reconstructions(model, yardstick),
        "samplers": _by_sampler(study, model, system, seed, plan, yardstick),
        "responses": measure_responses(model, yardstick),
        "stages": [_stage(file, system, plan, small) for file in (*sorted((run / "snapshots").glob("images_*.ckpt")), final)],
        "last_scalars": _last_scalars(run),
    }
    if seed == plan.seeds_of(system)[0]:
        _keep_figures(study, run, system)
    write_json(measures_of(study, system, seed), found)
    shutil.rmtree(run / "snapshots", ignore_errors=True)


def measures_of(study: Path, system: System, seed: int) -> Path:
    return study / "measures" / f"{system.name}_seed_{seed}.json"


def _by_sampler(
    study: Path, model: LightningModule, system: System, seed: int, plan: Plan, yardstick: Yardstick
) -> dict[str, dict[str, float]]:
    """Of each way to draw from the model the quality of its samples; the system's main one first."""
    ways = sorted(samplers(model), key=lambda way: way[0] != system.sampler)
    found: dict[str, dict[str, float]] = {}
    for name, how, labelled in ways:
        drawn, asked = draw(model, plan.samples, how, labelled, seed)
        main = not found
        found[name] = yardstick.quality(drawn, asked) | ({"sample_seconds": timed_samples(model, how)} if main else {})
        if seed == plan.seeds_of(system)[0]:
            _save_grid(study, system, name, drawn[:80] if labelled else drawn[:64], labelled, main)
    if isinstance(model, CanDecode) and isinstance(model, HasAnchors | HasTrainingCodes):
        for spread in SPREADS:
            asked = torch.arange(plan.samples) % 10
            drawn = draw_about_places(model, asked, spread, torch.Generator().manual_seed(seed))
            found[f"centroids {spread:g}"] = yardstick.quality(drawn, asked)
    return found


def _stage(file: Path, system: System, plan: Plan, yardstick: Yardstick) -> dict[str, Any]:
    """Images seen, seconds of training, and the cheap measures of the main sampler, at one age."""
    model, saved = load(file, None)
    ways = {name: (how, labelled) for name, how, labelled in samplers(model)}
    # A prior that has not begun to learn cannot be drawn from: until then the model's own choice.
    how, labelled = ways.get(system.sampler or "", next(iter(ways.values())))
    drawn, asked = draw(model, yardstick.n, how, labelled)
    quality = yardstick.quality(drawn, asked, kid_subsets=0)
    return saved["trained"] | {"values": {name: quality[name] for name in ON_THE_WAY if name in quality}}


def _decoder_parameters(model: LightningModule) -> int | None:
    """Of the network that makes images of codes; None where it has none of that name."""
    for name in ("decoder", "generator"):
        part = getattr(model, name, None)
        if isinstance(part, torch.nn.Module):
            return sum(parameter.numel() for parameter in part.parameters())
    return None


def _last_scalars(run: Path) -> dict[str, float]:
    """The newest value of each curve of the run."""
    newest: dict[str, float] = {}
    with (run / "metrics.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            newest |= {name: float(value) for name, value in row.items() if value and name not in ("step", "epoch")}
    return newest


def _save_grid(study: Path, system: System, sampler: str, drawn: torch.Tensor, labelled: bool, main: bool) -> None:
    if labelled:  # a row a digit: they were asked for in turn
        drawn = drawn.view(8, 10, 1, 28, 28).transpose(0, 1).reshape(80, 1, 28, 28)
    kind = "samples" if main else "other_samples"
    rows = [str(digit) for digit in range(10)] if labelled else []
    picture = Image.fromarray(grid_picture(drawn, 8, f"{system.title}, {sampler}", rows=rows))
    file = study / "pictures" / f"{system.name}__{kind}__{sampler.replace(' ', '_')}.png"
    _save(picture, file)


def _keep_figures(study: Path, run: Path, system: System) -> None:
    for kind, tag in FIGURES.items():
        epochs = sorted((run / "figures").glob(f"{tag}/epoch_*.png"))
        if epochs:
            _save(Image.open(epochs[-1]), study / "pictures" / f"{system.name}__{kind}__.png")


def _save(picture: Image.Image, file: Path) -> None:
    """Sixteen greys are enough for digits, and the page has many of them; coloured plots get 64 colours."""
    red, green, blue = picture.convert("RGB").split()
    coloured = any(ImageChops.difference(red, other).getbbox() for other in (green, blue))
    small = picture.convert("RGB").quantize(64) if coloured else picture.convert("L").quantize(16)
    with replacing(file) as part:
        small.save(part, format="png", optimize=True)


def write_json(file: Path, content: Any) -> None:
    """Atomically, and with null for what is no number."""
    with replacing(file) as part:
        part.write_text(json.dumps(_plain(content), indent=1))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
