"""`lightning test`: all measures of a model, next to what real images have.

Validation images are the default, because models are chosen by what this command prints. Test images are for the last measurement.
"""

from __future__ import annotations

import math
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_models.command.arguments import add_sampling, in_words, run_parser, sampling_given, whole
from lit_models.command.errors import UserError, explained
from lit_models.command.run_folders import checkpoint_of
from lit_models.command.runs import name_of, print_table

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule, LightningModule

    from lit_models.command.opened_run import OpenedRun


NAMES = {"val": "validation", "test": "test"}


def run(command: str, arguments: list[str]) -> int:
    description = "Measure models on validation images, or on the test images at the very end. Several of them make a table."
    options = run_parser("test", description, several=True)
    options.add_argument(
        "--split", choices=("val", "test"), default="val", help="the images: validation (default), or test for a model that is fixed"
    )
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    options.add_argument(
        "--samples",
        type=whole(0),
        default=10_000,
        metavar="N",
        help="number of samples, at most as many as there are images (10000); 0 leaves them out",
    )
    add_sampling(options)
    options.add_argument(
        "--draws", type=whole(1), metavar="N", help="likelihood of 1,000 images by N draws each (VAE: 5000 is usual; flow: 1)"
    )
    given = options.parse_args(arguments)
    checkpoints = [checkpoint_of(name) for name in given.runs]
    if given.samples and given.samples < 100:
        raise UserError("--samples expected at least 100, or 0", f"got {given.samples}")
    from lit_models.command.silence import silence

    silence()
    found = []
    for checkpoint in checkpoints:
        with explained():
            found.append(_measure_checkpoint(checkpoint, given))
        print()
    if len(checkpoints) > 1:
        names = [name_of(checkpoint) for checkpoint in checkpoints]
        measures = sorted({name for values in found for name, value in values.items() if not isinstance(value, list)}, key=place)
        rows = [[f"{given.split}/{name}", *(_shown(values[name]) if name in values else "" for values in found)] for name in measures]
        print_table(["", *names, ""], [[*row, meaning(name)] for name, row in zip(measures, rows, strict=True)])
    return 0


def _measure_checkpoint(checkpoint: Path, given: Namespace) -> dict[str, Any]:
    """Print all measures of a checkpoint, and log the headlines of a run."""
    from lit_models.checkpoints.runs import run_of
    from lit_models.command.opened_run import OpenedRun
    from lit_models.contracts import HasLogLikelihood, HasLogWeights

    opened = OpenedRun(checkpoint, given.imports)
    estimated = isinstance(opened.model, HasLogLikelihood) and not opened.model.exact
    if given.draws and not (estimated or isinstance(opened.model, HasLogWeights)):
        remedy = "leave --draws out"
        raise UserError(
            "--draws expected a model whose likelihood can be sampled, a VAE or a flow", f"got {type(opened.model).__name__}", remedy
        )
    data = opened.data(given.root)
    print(f"{checkpoint} on the {len(data.images(given.split)[0])} {NAMES[given.split]} images of {opened.dataset_name}")
    _print_losses(opened.model, data, checkpoint, given.split)
    values = measure(opened, data, given)
    folder = run_of(checkpoint)
    if folder is not None:
        _log_headlines(folder, values, opened.saved["global_step"], given.split)
    return values


def _print_losses(model: LightningModule, data: LightningDataModule, checkpoint: Path, split: str) -> None:
    """What the model's own `validation_step` or `test_step` logs."""
    from lightning.pytorch import Trainer
    from lightning.pytorch.utilities.model_helpers import is_overridden

    from callbacks import CodebookUsage, SeedEachStep
    from lit_models.contracts import HasCodebook

    if not is_overridden("test_step" if split == "test" else "validation_step", model):
        return
    usage = [CodebookUsage()] if isinstance(model, HasCodebook) else []
    trainer = Trainer(
        accelerator="auto", devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False,
        use_distributed_sampler=False, callbacks=[SeedEachStep(), *usage], default_root_dir=str(checkpoint.parent),
    )  # fmt: skip
    (trainer.test if split == "test" else trainer.validate)(model, datamodule=data, verbose=False)
    for name, value in sorted(trainer.callback_metrics.items()):
        print(f"{name:22} {float(value):.6g}")


def measure(opened: OpenedRun, data: Any, given: Namespace) -> dict[str, Any]:
    """Print all measures of a model on the images of a split, and return them by name.

    `given` has `split`, `samples`, their number (0 leaves them out), `draws` of the likelihood, `sampler` and the options of `sample`.
    """
    from datamodules.contracts import HasWholeData
    from lit_models.contracts import HasLogWeights
    from lit_models.evaluation import modes
    from lit_models.evaluation.measure import (
        measure_codes,
        measure_noise,
        measure_reconstructions,
        measure_responses,
        seconds_per_1000_samples,
    )
    from lit_models.evaluation.words import measure_words
    from lit_models.evaluation.yardstick import yardstick_of
    from lit_models.sampling.samplers import draw, samplers_of

    model, values = opened.model, dict[str, Any]()
    whole_data = data.whole() if isinstance(data, HasWholeData) else data
    yardstick = yardstick_of(opened.dataset, whole_data, given.samples or 1000, given.split)
    print(
        f"yardstick sha256 {yardstick.sha256[:12]}"
        + ("" if yardstick.judge else f"; no judge for {opened.dataset_name}: its measures are n/a")
    )
    samplers = samplers_of(model)
    if given.samples and samplers:
        sampler = given.sampler or next(iter(samplers))
        if sampler not in samplers:
            raise UserError(f"--sampler expected one of {', '.join(samplers)}", f"got {sampler}")
        options = sampling_given(given)
        drawn, asked = draw(model, yardstick.n, sampler, **options)
        values |= attempt(lambda: yardstick.quality(drawn, asked), "samples")
        values |= {"sample_seconds": seconds_per_1000_samples(model, sampler, **options)}
        real = attempt(yardstick.floor, "real images")
        at = in_words(options)
        title = f"{yardstick.n} samples (sampler {sampler}{at}), and held-out training images (real), next to {NAMES[given.split]} images"
        _print(title, values, real, given.split)
        if opened.dataset_name == modes.DATASET:
            labels = whole_data.images("train")[1]
            counted = attempt(lambda: modes.measure_modes(model, sampler, labels, **options), "modes")
            _print(f"modes of 1,000 among {modes.SAMPLES} samples without labels (sampler {sampler}{at})", counted, {}, given.split)
            values |= counted
    images, labels = data.images(given.split)
    codes = (
        measure_codes(model, images, labels, given.draws, given.sampler)
        if given.draws
        else attempt(lambda: measure_codes(model, images, labels), "codes")
    )
    codes |= attempt(lambda: measure_reconstructions(model, yardstick), "reconstructions")
    codes |= attempt(lambda: measure_words(model, opened.class_names or (), yardstick.real, yardstick.judge), "words")
    codes |= attempt(lambda: measure_noise(model, yardstick), "noise that samples start from")
    for place, curves in attempt(lambda: measure_responses(model, yardstick), "noise").items():
        codes |= {f"sigma50_{place}": math.nan if curves["sigma50"] is None else curves["sigma50"]}
        print(f"noise at {place}, sigma in {curves['unit']}: " + " ".join(f"{sigma:>6g}" for sigma in curves["sigmas"]))
        for name in ("recognisable", "kept", "sharpness", "change"):
            print(f"  {name:20} " + " " * (len(place) + len(curves["unit"])) + " ".join(f"{value:6.3f}" for value in curves[name]))
    if codes:
        _print(f"codes and likelihood on {NAMES[given.split]} images", codes, {}, given.split)
    if given.draws and isinstance(model, HasLogWeights):
        print(f"nats: an upper bound, by {given.draws} draws for each of {len(images[:1000])} images")
    return values | codes


def attempt(measures: Callable[[], dict[str, Any]], what: str) -> dict[str, Any]:
    """The measures, or none and a warning where they cannot be made, as with too few images."""
    try:
        return measures()
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        print(f"warning  measures of {what} are n/a: {reason}", file=sys.stderr, flush=True)
        return {}


def _print(title: str, values: dict[str, Any], real: dict[str, float], split: str) -> None:
    print(f"{title}:")
    for name, value in sorted(values.items(), key=lambda pair: place(pair[0])):
        of_real = f"real {_shown(real[name])}" if name in real else ""
        print(f"{f'{split}/{name}':32} {_shown(value):>10}   {of_real:12}  {meaning(name)}".rstrip())


def place(name: str) -> tuple[int, str]:
    """The place of a measure among the others: as in the table of a study, the headlines first, and an error after its measure."""
    from lit_models.study.columns import COLUMNS

    order = {column.key: number for number, column in enumerate(COLUMNS)}
    return order.get(name.replace("kid_error", "kid", 1), len(order)), name


def meaning(name: str) -> str:
    """What a measure is, in some words; empty for those that the table of a study does not have."""
    from lit_models.study.columns import COLUMNS

    return next((column.help.partition(";")[0] for column in COLUMNS if column.key == name), "")


def _shown(value: float | list[float]) -> str:
    if isinstance(value, list):
        return " ".join(f"{each:.3g}" for each in value)
    return "n/a" if math.isnan(value) else f"{value:.4g}"


def _log_headlines(run: Path, values: dict[str, Any], step: int, split: str) -> None:
    """The headlines go to the run's TensorBoard, where HPARAMS shows them next to the hyperparameters: `val/final/...` of validation
    images, and `test/...` of test images."""
    from torch.utils.tensorboard import SummaryWriter

    from lit_models.evaluation import HEADLINES

    with SummaryWriter(str(run)) as writer:
        for name in HEADLINES:
            if not math.isnan(values.get(name, math.nan)):
                writer.add_scalar(f"{'test' if split == 'test' else 'val/final'}/{name}", values[name], step)
