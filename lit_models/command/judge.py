"""`lightning judge`: measure anybody's samples, test the yardstick on its controls, or make the networks of one."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_models.command.arguments import Parser, whole
from lit_models.command.errors import UserError, explained
from lit_models.command.run_folders import checkpoint_of
from lit_models.training import configs

if TYPE_CHECKING:
    from datamodules import ImageDataModule
    from lit_models.command.opened_run import OpenedRun
    from lit_models.evaluation.yardstick import Yardstick

REPORTED = 2000  # images per distorted set in the report on the yardstick
NEXT_TO = {"blurred, window of n x n": 3, "classes left out": 1, "copies per image": 16}  # controls that are printed next to samples
MEASURES = (
    "coverage", "kid", "kid_second", "kid_untrained", "cas", "recognisable", "recognisable_gap", "nearer_to_training", "control", "fid",
    "fid_second", "fid_untrained", "coverage_second", "coverage_untrained", "density", "density_second", "density_untrained", "precision",
    "recall", "balance", "spread", "sharpness", "novelty",
)  # fmt: skip


def run(command: str, arguments: list[str]) -> int:
    options = Parser(
        prog="lightning judge",
        description="Measure samples of any model. Without samples, make the yardstick if need be, and test it on images of known faults.",
    )
    options.add_argument("samples", nargs="*", type=Path, metavar="SAMPLES", help="images in an .npz or .npy file, or a folder of pictures")
    options.add_argument("--labels", type=Path, metavar="FILE", help="the labels that the samples were asked for, if SAMPLES has none")
    options.add_argument(
        "--data", dest="dataset", default="mnist", metavar="NAME|PATH", help="a data set by name, or your own images (mnist)"
    )
    options.add_argument(
        "--config", "-c", dest="overlays", action="append", default=[], metavar="NAME",
        help="a config on top of those of the recipe, while networks are trained: fast, cpu",
    )  # fmt: skip
    options.add_argument(
        "--split", choices=("val", "test"), default="val", help="the real images: validation (default), or test at the very end"
    )
    options.add_argument("--output", type=Path, help="measures.json; with --make the file of the networks")
    options.add_argument("--make", nargs=2, metavar="RUN", help="make a judge, or spaces of features, of two classifiers")
    options.add_argument("--num", dest="n", type=whole(100), default=REPORTED, metavar="N", help=f"images per control ({REPORTED})")
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    given = options.parse_args(arguments)
    if len(given.samples) > 1:
        raise UserError(
            "expected one file or folder of samples", f"got {len(given.samples)}", "two classifiers: lightning judge --make RUN RUN"
        )
    with explained():
        if given.make:
            return _make([checkpoint_of(run) for run in given.make], given)
        return _measure(given.samples[0], given) if given.samples else _report(given)


def _yardstick(given: Namespace, data: ImageDataModule) -> Yardstick:
    from lit_models.evaluation.yardstick import yardstick_of

    return yardstick_of(given.dataset, data, split=given.split)


def _data(given: Namespace) -> ImageDataModule:
    from datamodules import ImageDataModule

    return ImageDataModule(given.dataset, root=given.root).whole()


def _measure(samples: Path, given: Namespace) -> int:
    """Print the measures of samples next to those of real images and of controls, and write them as JSON."""
    from lit_models.checkpoints.files import replacing
    from lit_models.evaluation.given_images import read_images, read_labels
    from lit_models.evaluation.judge import REAL

    yardstick = _yardstick(given, _data(given))
    images, labels, notes = read_images(samples, yardstick.real, yardstick.class_names, yardstick.classes or 10)
    labels = read_labels(given.labels, len(images), yardstick.classes or 10) if given.labels else labels
    if yardstick.classes is None and labels is not None:
        labels, notes = None, [*notes, "the real images have no labels: those of the samples are not used"]
    if len(images) < 100:
        raise UserError("expected 100 samples at least, which distances between sets need", f"got {len(images)} in {samples}")
    n = min(len(images), yardstick.n, len(yardstick.held_out))
    if n < len(images):
        notes.append(f"{len(images)} images: the first {n} are measured, because there are {n} real images to compare them with")
    images, labels = images[:n], None if labels is None else labels[:n]
    found: dict[str, Any] = {
        "samples": str(samples), "n": n, "dataset": given.dataset, "split": given.split, "yardstick": yardstick.sha256, "notes": notes,
        "measures": yardstick.quality(images, labels), "floor": yardstick.floor(n),
        "controls": {
            f"{name} = {strength:g}": yardstick.distances(yardstick.distorted(name, strength, n))
            for name, strength in NEXT_TO.items() if name in yardstick.distortions
        },
    }  # fmt: skip
    print(
        f"{samples}: {n} images, {'with' if labels is not None else 'without'} labels, next to {n} {given.split} images of {given.dataset}"
    )
    print(f"yardstick sha256 {yardstick.sha256[:12]}" + ("" if yardstick.judge else f", {_without_judge(yardstick, given.dataset)}"))
    for note in notes:
        print(f"note      {note}")
    columns = {"samples": found["measures"], "real images": found["floor"]} | found["controls"]
    print(f"\n{'':22}" + "".join(f"{name.split(' =')[0].split(',')[0]:>18}" for name in columns))
    for name in MEASURES:
        if name in found["measures"]:
            print(f"{name:22}" + "".join(f"{_shown(name, values):>18}" for values in columns.values()))
    print("\nreal images: training images that no network of the yardstick has seen. controls: " + "; ".join(found["controls"]))
    if yardstick.judge:
        print(f"recognisable: {yardstick.real_recognisable:.3f} of the real images are; by construction about {REAL} of validation images")
    output = given.output or Path("measures.json")
    with replacing(output) as part:
        part.write_text(json.dumps(found, indent=1))
    print(f"{output}: all measures")
    return 0


def _shown(name: str, values: dict[str, float]) -> str:
    if name not in values:
        return ""
    error = values.get(name.replace("kid", "kid_error", 1)) if name.startswith("kid") else None
    return f"{values[name]:.4g}" + (f" ± {1.96 * error:.2g}" if error is not None else "")


def _without_judge(yardstick: Yardstick, dataset: str) -> str:
    """Why there is no judge, and what distances are worth then."""
    if yardstick.classes is None:
        return f"no judge for {dataset}, which has no labels; distances in features of fixed random convolutions, the space untrained"
    return f"no judge for {dataset}: lightning judge --data {dataset} makes one"


def _report(given: Namespace) -> int:
    """Accuracy and controls of the judge, and the controls of each space of features. What is missing is made first."""
    from lit_models.evaluation.distortions import DISTORTIONS
    from lit_models.evaluation.judge import controls
    from lit_models.evaluation.sample_quality import key
    from lit_models.evaluation.yardstick import floor_of_kid

    data = _data(given)
    _find_or_make(given, data)
    yardstick = _yardstick(given, data)
    if yardstick.judge is None or yardstick.real_output is None or yardstick.labels is None:
        print(_without_judge(yardstick, given.dataset))
    else:
        print(f"judge of {given.dataset}, sha256 {yardstick.judge.sha256}, on {yardstick.n} {given.split} images")
        print(f"{'class is the label':34} {float((yardstick.real_output.classes == yardstick.labels).double().mean()):.4f}")
        print("recognisable:")
        for name, share in controls(yardstick.judge, yardstick.real, yardstick.labels).items():
            print(f"{name:34} {share:.4f}")
        for name, reason in yardstick.judge.left_out.items():
            print(f"left out  {name}: {reason}")
    n = min(given.n, yardstick.n, len(yardstick.held_out))
    real = yardstick.distances(yardstick.held_out[:n])
    print(f"\nkernel distance in floors, of {n} distorted images to {n} {given.split} images, at three strengths; below 2: not seen")
    print(f"{'':30} {'strengths':>16}" + "".join(f"{space:>26}" for space in yardstick.spaces.widths))
    print(f"{'floor, KID x 1000':47}" + "".join(f"{floor_of_kid(real, space):26.3f}" for space in yardstick.spaces.widths))
    for name, distortion in ((name, DISTORTIONS[name]) for name in yardstick.distortions):
        found = yardstick.controls([name], n)[name].values()
        cells = [
            " ".join(f"{values[key('kid', space)] / floor_of_kid(real, space):8.1f}" for values in found)
            for space in yardstick.spaces.widths
        ]
        print(
            f"{name:30} {' '.join(f'{strength:g}' for strength in distortion.strengths):>16}" + "".join(f"{cell:>26}" for cell in cells),
            flush=True,
        )
    return 0


def _find_or_make(given: Namespace, data: ImageDataModule) -> None:
    """Say where the networks of the yardstick lie; if they are missing and the data has labels, train them."""
    from lit_models.evaluation.yardstick_files import SHIPPED, find, folder_to_write
    from lit_models.study.making_yardsticks import make_yardstick
    from lit_models.study.training import Failed

    found = {kind: find(kind, given.dataset, data) for kind in SHIPPED}
    missing = [kind for kind, file in found.items() if file is None]
    if missing and data.classes is not None:
        for name in given.overlays:
            configs.find(name)
        folder = folder_to_write(given.dataset, data)
        print(f"yardstick of {given.dataset} is made in {folder}: four networks, as of MNIST", flush=True)
        try:
            make_yardstick(data, str(data.root), folder, given.overlays)
        except Failed as error:
            found_instead = str(error).replace("lightning: ", "")
            raise UserError(
                "expected four trainings to end", f"got {found_instead}", f"see {folder}/runs/*/fit.log, then call again"
            ) from error
        found = {kind: find(kind, given.dataset, data) for kind in SHIPPED}
    elif given.overlays:
        raise UserError("expected --config where networks are trained", f"got networks for {given.dataset} already", "leave --config out")
    for kind, file in found.items():
        if file is not None:
            print(f"{kind:9} {file.file}")


def _make(checkpoints: list[Path], given: Namespace) -> int:
    """Write a judge of two classifiers that know what shows none of the classes, or the spaces of two classifiers of clean images."""
    from datamodules.own import name_of
    from lit_models.command.opened_run import OpenedRun
    from lit_models.evaluation.classifier import Classifier
    from lit_models.evaluation.features import save_spaces
    from lit_models.evaluation.judge import make_judge, save_judge

    opened = [OpenedRun(checkpoint, []) for checkpoint in checkpoints]
    for each in opened:
        if not isinstance(each.model, Classifier):
            raise UserError("expected runs of lightning fit --config classifier", f"got {type(each.model).__name__} in {each.checkpoint}")
        if name_of(each.dataset) != name_of(given.dataset):
            raise UserError(f"expected a classifier of {given.dataset}", f"got one of {each.dataset}", "see --data")
    first, second = (each.model for each in opened)
    if first.spoil != second.spoil:
        raise UserError("expected two classifiers of one kind", "got one with and one without --config clean")
    data = opened[0].data(given.root).whole()
    recipe = "two classifiers, " + "; ".join(_recipe(each, data) for each in opened)
    if first.spoil:
        output = given.output or Path("judge.pt")
        reasons = dict.fromkeys(first.hparams.left_out or (), "left out of the training of its first classifier")
        save_judge(make_judge(first, second, data, reasons), given.dataset, recipe, output, data.images_sha256)
    else:
        output = given.output or Path("spaces.pt")
        save_spaces(first, second, given.dataset, max(_trained_on(each, data) for each in opened), recipe, output, data.images_sha256)
    print(f"{output}: {recipe}")
    return 0


def _recipe(opened: OpenedRun, data: Any) -> str:
    """What a classifier is and how well it classifies validation images."""
    from lit_models.study.making_yardsticks import accuracy

    saved = opened.saved
    steps, parameters = saved["global_step"], dict(saved["hyper_parameters"])
    return f"{accuracy(opened.model, data):.4f} right on validation images after {steps} steps with {parameters}"


def _trained_on(opened: OpenedRun, data: Any) -> int:
    """The number of training images that a classifier has seen; UserError if they include those that stand for real ones."""
    from lit_models.evaluation.features import held_out

    n = len(data.images("train")[0])
    most, limit = n - held_out(n), opened.saved.get("datamodule_hyper_parameters", {}).get("limit")
    if limit is None or limit > most:
        expected = f"expected a classifier that has not seen the last {held_out(n)} of {n} training images"
        raise UserError(expected, f"got --data.limit {limit} in {opened.checkpoint}", f"train it with --data.limit {most}")
    return int(limit)
