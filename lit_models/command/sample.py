"""`lightning sample`: images drawn from a model, as a grid (.png) or as an array (.npz)."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_models.command.arguments import add_sampling, check_output, finite, in_words, run_parser, sampling_given, whole
from lit_models.command.asked_classes import COLUMNS, ROWS, Asked, asked_classes
from lit_models.command.errors import UserError, explained
from lit_models.command.predict import labelled
from lit_models.command.run_folders import checkpoint_of

if TYPE_CHECKING:
    import torch
    from lightning.pytorch import LightningModule
    from torch import Tensor

    from lit_models.command.opened_run import OpenedRun


def run(command: str, arguments: list[str]) -> int:
    options = run_parser("sample", "Draw images from a model into a grid (.png) or an array (.npz).")
    options.add_argument("--num", type=whole(1), metavar="N", help="number of images; by default 64, or eight whole rows of classes")
    options.add_argument(
        "--label",
        metavar="CLASS",
        help="the class asked for, by name or number; by default all in turn, or none where the sampler takes none",
    )
    options.add_argument("--text", metavar="WORDS", help='what images shall show, of a model that knows words: "a thin 7 leaning left"')
    options.add_argument("--noise", type=finite, help="decode class centroids instead, with noise of this many class spreads")
    add_sampling(options)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--output", type=Path, default=Path("samples.png"), help=".png for a grid, .npz for images and labels")
    given = options.parse_args(arguments)
    if given.noise is not None and sampling_given(given):
        name, value = next(iter(sampling_given(given).items()))
        raise UserError(f"--noise expected no --{name}", f"got --{name} {value:g}", "leave one out")
    if given.text is not None:
        for name in ("label", "noise", "sampler"):
            if getattr(given, name) is not None:
                raise UserError(f"--text expected no --{name}", f"got --{name} {getattr(given, name)}", "leave one out")
    checkpoint = checkpoint_of(given.run)
    check_output(given.output, (".png", ".npz"))
    import numpy as np
    import torch
    from PIL import Image

    from callbacks.figures.picture import grid_picture
    from lit_models.command.opened_run import OpenedRun
    from lit_models.sampling.evaluation_mode import evaluation_mode

    with explained():
        opened = OpenedRun(checkpoint, given.imports)
        model = opened.model.to("cuda" if torch.cuda.is_available() else "cpu")
        generator = torch.Generator().manual_seed(given.seed)
        with evaluation_mode(model):
            make = _told if given.text is not None else _draw if given.noise is None else _around_centroids
            images, asked, what = make(opened, model, given, generator)
        images = (255 * images.clamp(0, 1)).round().byte().cpu()
        what = what if asked is None else f"{what}{asked.what}"
        if given.output.suffix == ".npz":
            array = images[:, 0] if images.shape[1] == 1 else images.movedim(1, -1)  # (N, H, W), or (N, H, W, 3) in colour
            known = {} if asked is None else labelled(asked.labels, opened.class_names)
            np.savez_compressed(given.output, images=array.numpy(), **known)
        else:
            columns, rows, heads = (min(COLUMNS, len(images)), [], []) if asked is None else (asked.columns, asked.rows, asked.heads)
            picture = grid_picture(images / 255, columns, f"{what} | {opened.dataset_name}", rows=rows, heads=heads)
            Image.fromarray(picture).save(given.output)
        print(f"{given.output}: {len(images)} {what}, trained on {opened.dataset_name}")
    return 0


def _asked(opened: OpenedRun, given: Namespace, classes: int) -> Asked:
    from lit_models.training.fixed_images import names_of_classes

    names = names_of_classes(opened.class_names, classes)
    return asked_classes(given.label, given.num, names, opened.dataset_name, as_grid=given.output.suffix == ".png")


def _draw(opened: OpenedRun, model: LightningModule, given: Namespace, generator: torch.Generator) -> tuple[Tensor, Asked | None, str]:
    from lit_models.contracts import HasSamplers
    from lit_models.sampling.samplers import samplers_of, sampling_options

    known, name = samplers_of(model), type(model).__name__
    if not known:
        raise UserError("sample expected a model that can be sampled", f"got {name}", "decode about class places instead: --noise 0.5")
    if given.sampler is not None and (given.sampler not in known or not isinstance(model, HasSamplers)):
        expected = f"one of {', '.join(known)}" if isinstance(model, HasSamplers) else f"no name: {name} has one way to be sampled"
        raise UserError(f"--sampler expected {expected}", f"got {given.sampler}")
    sampler = given.sampler or next(iter(known))
    classes = known[sampler]
    if classes is None and given.label is not None:
        others = [each for each, taken in known.items() if taken]
        if others:
            remedy = "or decode about the place of the class: --noise 0.5"
            raise UserError(f"--label expected a sampler that takes labels: {', '.join(others)}", f"got {sampler}", remedy)
        raise UserError("--label expected a model that takes labels", f"got {name}")
    asked = None if classes is None else _asked(opened, given, classes)
    options: dict[str, Any] = sampling_options(model, **sampling_given(given))
    what = f"samples of {name}"
    if isinstance(model, HasSamplers):
        options["sampler"], what = sampler, f"{what}, sampler {sampler}"
    what += in_words(sampling_given(given))
    labels, n = (None, given.num or ROWS * COLUMNS) if asked is None else (asked.labels, len(asked.labels))
    return model.sample(n, labels, generator, **options), asked, what


def _told(opened: OpenedRun, model: LightningModule, given: Namespace, generator: torch.Generator) -> tuple[Tensor, None, str]:
    from lit_models.contracts import CanSampleText

    if not isinstance(model, CanSampleText):
        raise UserError("--text expected a model that knows words, such as TextFlow", f"got {type(model).__name__}")
    options = sampling_given(given)
    images = model.sample_text([given.text] * (given.num or ROWS * COLUMNS), generator, **options)
    return images, None, f'samples of {type(model).__name__}, "{given.text}"{in_words(options)}'


def _around_centroids(opened: OpenedRun, model: LightningModule, given: Namespace, generator: torch.Generator) -> tuple[Tensor, Asked, str]:
    from lit_models.contracts import CanDecode, HasAnchors, HasTrainingCodes
    from lit_models.sampling.class_places import class_places
    from lit_models.sampling.samplers import draw_about_places

    if not (isinstance(model, CanDecode) and isinstance(model, HasAnchors | HasTrainingCodes)):
        raise UserError("--noise expected a model with anchors or with codes of training images", f"got {type(model).__name__}")
    places, _, unit = class_places(model)
    asked = _asked(opened, given, len(places))
    what = f"decodes of {type(model).__name__} about its class places, noise {given.noise:g} {unit}"
    return draw_about_places(model, asked.labels, given.noise, generator), asked, what
