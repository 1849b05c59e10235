"""Measures each trained system of a study once: measures are kept in `measures/`, pictures in `pictures/`."""

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
from lit_models.checkpoints.loading import imported, open_checkpoint
from lit_models.contracts import CanDecode, HasAnchors, HasTrainingCodes
from lit_models.evaluation.measure import (
    SPREADS,
    Yardstick,
    measure_codes,
    measure_reconstructions,
    measure_responses,
    seconds_per_1000_samples,
)  # fmt: skip
from lit_models.losses import is_binary
from lit_models.sampling.samplers import draw, draw_about_places, samplers_of
from lit_models.study.plan import Plan, System
from lit_models.study.training import folder_of, run_in

STAGE_MEASURES = ("recognisable", "fid", "density", "coverage", "control", "balance", "spread", "sharpness")
FIGURES = {
    "reconstructions": "reconstructions",
    "centroids": "centroids/noise",
    "neighbours": "neighbours",
    "latents": "latents/p*",  # plane for codes of two numbers, pca for codes of four or more
}  # kind of picture, and the tag of the run's figure


def measure_system(study: Path, system: System, seed: int, plan: Plan, yardstick: Yardstick, small: Yardstick, root: str) -> None:
    """Write all measures of one trained system into `measures/NAME_seed_N.json`.

    Args:
        yardstick: For the final model.
        small: For its snapshots; it has fewer images.
        root: Folder of the data.
    """
    run = run_in(folder_of(study, system, seed))
    assert run is not None
    best = run / "checkpoints" / "best.ckpt"
    final = best if best.is_file() else best.with_name("last.ckpt")
    model, saved = open_checkpoint(final)
    images, labels = data_of_run(saved, root).images("test")
    draws = plan.draws if seed == plan.seeds_of(system)[0] and is_binary(images) else 0
    found: dict[str, Any] = {
        "system": system.name,
        "seed": seed,
        "trained": saved["trained"],  # up to the model that is kept
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "decoder_parameters": _decoder_parameters(model),
        "codes": measure_codes(model, images, labels, draws) | measure_reconstructions(model, yardstick),
        "samplers": _by_sampler(study, model, system, seed, plan, yardstick),
        "responses": measure_responses(model, yardstick),
        "stages": [_stage(file, system, small) for file in (*sorted((run / "snapshots").glob("images_*.ckpt")), final)],
        "last_scalars": _last_scalars(run),
    }
    if seed == plan.seeds_of(system)[0]:
        _keep_figures(study, run, system)
    write_json(measures_of(study, system, seed), found)
    shutil.rmtree(run / "snapshots", ignore_errors=True)


def data_of_run(saved: dict[str, Any], root: str) -> Any:
    """The data module of the run that a checkpoint belongs to, set up.

    Raises:
        ValueError: If it is none of our data modules, or if the images are not those of the run.
    """
    named = saved["run"]["data"]
    if named.split(".")[0] != "datamodules":  # a class that a file names is imported only if it is ours
        raise ValueError(f"expected a run on one of our data modules, datamodules.MNISTDataModule\ngot {named}")
    data = imported(named)(**saved["datamodule_hyper_parameters"] | {"dataset": saved["run"]["dataset"], "root": root})
    data.setup()
    state = saved.get(type(data).__qualname__)
    if state is not None:
        data.load_state_dict(state)
    return data


def measures_of(study: Path, system: System, seed: int) -> Path:
    return study / "measures" / f"{system.name}_seed_{seed}.json"


def _by_sampler(
    study: Path, model: LightningModule, system: System, seed: int, plan: Plan, yardstick: Yardstick
) -> dict[str, dict[str, float]]:
    """The quality of samples from each sampler of the model; the system's main sampler comes first."""
    samplers = samplers_of(model)
    found: dict[str, dict[str, float]] = {}
    for name in sorted(samplers, key=lambda sampler: sampler != system.sampler):
        drawn, asked = draw(model, plan.samples, name, seed=seed)
        main = not found
        found[name] = yardstick.quality(drawn, asked) | ({"sample_seconds": seconds_per_1000_samples(model, name)} if main else {})
        if seed == plan.seeds_of(system)[0]:
            _save_grid(study, system, name, drawn, samplers[name], main)
    if isinstance(model, CanDecode) and isinstance(model, HasAnchors | HasTrainingCodes):
        for spread in SPREADS:
            asked = torch.arange(plan.samples) % 10
            drawn = draw_about_places(model, asked, spread, torch.Generator().manual_seed(seed))
            found[f"centroids {spread:g}"] = yardstick.quality(drawn, asked)
    return found


def _stage(file: Path, system: System, yardstick: Yardstick) -> dict[str, Any]:
    """Images seen, seconds of training, and the cheap measures of the main sampler, at one stage of the training."""
    model, saved = open_checkpoint(file)
    samplers = samplers_of(model)
    # Until the prior of a VQ-VAE has begun to learn, it cannot be sampled; the model's default stands in for it.
    sampler = system.sampler if system.sampler in samplers else next(iter(samplers))
    drawn, asked = draw(model, yardstick.n, sampler)
    quality = yardstick.quality(drawn, asked, kid_subsets=0)
    return saved["trained"] | {"values": {name: quality[name] for name in STAGE_MEASURES if name in quality}}


def _decoder_parameters(model: LightningModule) -> int | None:
    """Number of parameters of the network that makes images from codes; None if the model has no part called decoder or generator."""
    for name in ("decoder", "generator"):
        part = getattr(model, name, None)
        if isinstance(part, torch.nn.Module):
            return sum(parameter.numel() for parameter in part.parameters())
    return None


def _last_scalars(run: Path) -> dict[str, float]:
    """The last value of each curve of the run."""
    newest: dict[str, float] = {}
    with (run / "metrics.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            newest |= {name: float(value) for name, value in row.items() if value and name not in ("step", "epoch")}
    return newest


def _save_grid(study: Path, system: System, sampler: str, drawn: torch.Tensor, classes: int | None, main: bool) -> None:
    """A picture of the first samples: one row per class if the sampler takes labels, 8 x 8 otherwise."""
    images = drawn[:64]
    if classes:  # they were asked for in turn
        images = drawn[: 8 * classes].view(8, classes, 1, 28, 28).transpose(0, 1).reshape(8 * classes, 1, 28, 28)
    kind = "samples" if main else "other_samples"
    rows = [str(label) for label in range(classes or 0)]
    picture = Image.fromarray(grid_picture(images, 8, f"{system.title}, {sampler}", rows=rows))
    file = study / "pictures" / f"{system.name}__{kind}__{sampler.replace(' ', '_')}.png"
    _save(picture, file)


def _keep_figures(study: Path, run: Path, system: System) -> None:
    """Copy the last picture of each figure of the run."""
    for kind, tag in FIGURES.items():
        epochs = sorted((run / "figures").glob(f"{tag}/epoch_*.png"))
        if epochs:
            _save(Image.open(epochs[-1]), study / "pictures" / f"{system.name}__{kind}__.png")


def _save(picture: Image.Image, file: Path) -> None:
    """Save a picture with few colours, because the page has many pictures: 16 greys are enough for digits, 64 colours for plots."""
    red, green, blue = picture.convert("RGB").split()
    coloured = any(ImageChops.difference(red, other).getbbox() for other in (green, blue))
    small = picture.convert("RGB").quantize(64) if coloured else picture.convert("L").quantize(16)
    with replacing(file) as part:
        small.save(part, format="png", optimize=True)


def write_json(file: Path, content: Any) -> None:
    """Write JSON atomically, with null for numbers that are not finite."""
    with replacing(file) as part:
        part.write_text(json.dumps(_plain(content), indent=1))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
