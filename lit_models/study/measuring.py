"""Measures each trained system of a study once: measures are kept in `measures/`, pictures in `pictures/`."""

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.checkpoints.files import replacing
from lit_models.checkpoints.loading import imported, open_checkpoint
from lit_models.contracts import CanDecode, HasAnchors, HasTrainingCodes
from lit_models.evaluation.measure import (
    SPREADS,
    measure_codes,
    measure_noise,
    measure_reconstructions,
    measure_responses,
    seconds_per_1000_samples,
)
from lit_models.evaluation.sample_quality import key
from lit_models.evaluation.yardstick import Values, Yardstick
from lit_models.losses import is_binary
from lit_models.sampling.samplers import draw, draw_about_places, samplers_of, takes
from lit_models.study.columns import SPACES
from lit_models.study.machine import machine
from lit_models.study.pictures import keep_figures, save_grid
from lit_models.study.plan import Plan, System
from lit_models.study.settings import agree, settings_of
from lit_models.study.training import folder_of, run_in

STAGE_MEASURES = {
    *("recognisable", "recognisable_gap", "control", "balance", "spread", "sharpness", "recall"),
    *(key(name, space) for name in ("kid", "kid_error", "fid", "density", "coverage") for space in SPACES),
}


def measure_system(study: Path, system: System, seed: int, plan: Plan, yardstick: Yardstick, small: Yardstick, root: str) -> None:
    """Write all measures of one trained system into `measures/NAME_seed_N.json`.

    Args:
        yardstick: For the final model, by test images.
        small: For its snapshots and for its temperatures, by validation images; it has fewer images.
        root: Folder of the data.
    """
    run = run_in(folder_of(study, system, seed))
    assert run is not None
    best = run / "checkpoints" / "best.ckpt"
    # A training of some steps may end within an epoch, and the best model is that of a whole epoch.
    final = best if best.is_file() and system.training_steps is None else best.with_name("last.ckpt")
    model, saved = open_checkpoint(final)
    images, labels = data_of_run(saved, root).images("test")
    whole = system.variant_of is None  # of a variant only the samples are measured
    first = whole and seed == plan.seeds_of(system)[0]
    draws = plan.draws if first and is_binary(images) else 0
    found: dict[str, Any] = {
        "system": system.name,
        "seed": seed,
        "settings": settings_of(system, plan),
        "yardstick": yardstick.sha256,
        "machine": machine(),  # that has measured it, and as a rule trained it
        "trained": saved["trained"],  # up to the model that is kept
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "decoder_parameters": _decoder_parameters(model),
        "codes": _codes(model, images, labels, draws, yardstick) if whole else {},
        **_by_sampler(study, model, system, seed, plan, yardstick),
        "knob": measure_temperatures(model, system, plan, small) if first else [],
        "responses": measure_responses(model, yardstick) if whole else {},
        "stages": [measure_stage(file, system, small) for file in _stages(run, final)] if whole else [],
        "last_scalars": _last_scalars(run),
    }
    if first:
        keep_figures(study, run, system)
    write_json(measures_of(study, system, seed), found)
    shutil.rmtree(run / "snapshots", ignore_errors=True)


def data_of_run(saved: dict[str, Any], root: str) -> Any:
    """The data module of the run that a checkpoint belongs to, set up.

    Raises:
        ValueError: If it is none of our data modules, or if the images are not those of the run.
    """
    named = saved["run"]["data"]
    if named.split(".")[0] != "datamodules":  # a class that a file names is imported only if it is ours
        raise ValueError(f"expected a run on one of our data modules, datamodules.ImageDataModule\ngot {named}")
    arguments = dict(saved["datamodule_hyper_parameters"])
    arguments |= {"dataset": arguments.get("dataset") or saved["run"]["dataset"], "root": root}
    data = imported(named)(**arguments)
    data.setup()
    state = saved.get(type(data).__qualname__) or saved.get(named.rpartition(".")[2])  # of runs before the class was renamed
    if state is not None:
        data.load_state_dict(state)
    return data


def _stages(run: Path, final: Path) -> list[Path]:
    return [*sorted((run / "snapshots").glob("images_*.ckpt")), final]


def _codes(model: LightningModule, images: Tensor, labels: Tensor | None, draws: int, yardstick: Yardstick) -> dict[str, Any]:
    """What is measured without samples."""
    return measure_codes(model, images, labels, draws) | measure_reconstructions(model, yardstick) | measure_noise(model, yardstick)


def measures_of(study: Path, system: System, seed: int) -> Path:
    return study / "measures" / f"{system.name}_seed_{seed}.json"


def is_measured(study: Path, system: System, seed: int, plan: Plan, yardstick: Yardstick) -> bool:
    """Whether the measures of these settings by this yardstick are there: others do not compare. The training itself may be gone."""
    file = measures_of(study, system, seed)
    found = json.loads(file.read_text()) if file.is_file() else {}
    return found.get("yardstick") == yardstick.sha256 and agree(found.get("settings"), settings_of(system, plan))


def _by_sampler(study: Path, model: LightningModule, system: System, seed: int, plan: Plan, yardstick: Yardstick) -> dict[str, Any]:
    """The quality of samples from each sampler of the model, `samplers`, and the names of those that take labels, `labelled`.

    The system's main sampler comes first, then the same at further temperatures, steps and strengths of guidance, then the others.
    """
    samplers = samplers_of(model)
    names = sorted(samplers, key=lambda sampler: sampler != system.sampler)
    if system.variant_of is not None:
        names = [name for name in names if name in (names[0], *system.compared)]
    rows: list[tuple[str, str, dict[str, Any]]] = [(name, name, {}) for name in names]
    further: dict[str, list[Any]] = {"temperature": system.temperatures, "steps": system.steps, "guidance": system.guidance}
    if names:
        rows[1:1] = [(f"{names[0]}, {option} {each:g}", names[0], {option: each}) for option in further for each in further[option]]
    found: dict[str, Values] = {}
    labelled = []
    for row, name, options in rows:
        drawn, asked = draw(model, yardstick.n, name, seed=seed, **options)
        main = not found
        found[row] = yardstick.quality(drawn, asked) | ({"sample_seconds": seconds_per_1000_samples(model, name)} if main else {})
        labelled += [row] if asked is not None else []
        if seed == plan.seeds_of(system)[0]:
            save_grid(study, system, row, drawn, samplers[name], main, yardstick.class_names)
    if (
        system.variant_of is None
        and yardstick.classes
        and isinstance(model, CanDecode)
        and isinstance(model, HasAnchors | HasTrainingCodes)
    ):
        for spread in SPREADS:
            asked = torch.arange(yardstick.n) % yardstick.classes
            drawn = draw_about_places(model, asked, spread, torch.Generator().manual_seed(seed))
            found[f"centroids {spread:g}"] = yardstick.quality(drawn, asked)
            labelled.append(f"centroids {spread:g}")
    return {"samplers": found, "labelled": labelled}


def measure_temperatures(model: LightningModule, system: System, plan: Plan, yardstick: Yardstick) -> list[dict[str, float]]:
    """Quality over the temperatures of the main sampler, on validation images; none if the model takes no temperature."""
    samplers = samplers_of(model)
    if not samplers or not takes(model, "temperature"):
        return []
    sampler = system.sampler or next(iter(samplers))
    points = []
    for temperature in plan.temperatures_of_curve:
        values = yardstick.distances(*draw(model, yardstick.n, sampler, temperature=temperature))
        points.append({"temperature": temperature} | {name: values[name] for name in sorted(STAGE_MEASURES) if name in values})
    return points


def measure_stage(file: Path, system: System, yardstick: Yardstick) -> dict[str, Any]:
    """Images seen, seconds of training, and the cheap measures of the main sampler, at one stage of the training."""
    model, saved = open_checkpoint(file)
    samplers = samplers_of(model)
    # Until the prior of a VQ-VAE has begun to learn, it cannot be sampled; the model's default stands in for it.
    sampler = system.sampler if system.sampler in samplers else next(iter(samplers))
    quality = yardstick.distances(*draw(model, yardstick.n, sampler))
    return saved["trained"] | {"values": {name: value for name, value in quality.items() if name in STAGE_MEASURES}}


def _decoder_parameters(model: LightningModule) -> int | None:
    """Number of parameters of the network that makes images from codes; None if the model has no part called decoder or generator."""
    for name in ("decoder", "generator"):
        part = getattr(model, name, None)
        if isinstance(part, torch.nn.Module):
            return sum(parameter.numel() for parameter in part.parameters())
    return None


def _last_scalars(run: Path) -> dict[str, float]:
    """The last value of each curve of the run; none of a run that ended before its first."""
    newest: dict[str, float] = {}
    file = run / "metrics.csv"
    if not file.is_file():
        return newest
    with file.open(newline="") as stream:
        for row in csv.DictReader(stream):
            newest |= {name: float(value) for name, value in row.items() if value and name not in ("step", "epoch")}
    return newest


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
