"""`lightning sample`: images drawn from a model, as a grid (.png) or as an array (.npz)."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_models.command.arguments import above_zero, check_output, finite, run_parser, whole
from lit_models.command.errors import UserError, explained
from lit_models.command.run_folders import checkpoint_of

if TYPE_CHECKING:
    import torch
    from lightning.pytorch import LightningModule
    from torch import Tensor


def run(command: str, arguments: list[str]) -> int:
    options = run_parser("sample", "Draw images from a model into a grid (.png) or an array (.npz).")
    options.add_argument("--num", type=whole(1), default=64, metavar="N", help="number of images (64)")
    options.add_argument("--label", type=int, help="the class asked for; by default all in turn, or none where the sampler takes none")
    options.add_argument("--noise", type=finite, help="decode class centroids instead, with noise of this many class spreads")
    options.add_argument("--sampler", metavar="NAME", help="what codes are drawn from; by default the model's own sampler")
    options.add_argument(
        "--temperature", type=above_zero, metavar="T", help="below 1 samples vary less; by default the model's own, often 1"
    )
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--output", type=Path, default=Path("samples.png"), help=".png for a grid, .npz for images and labels")
    given = options.parse_args(arguments)
    if given.noise is not None and given.temperature is not None:
        raise UserError("--noise expected no --temperature", f"got --temperature {given.temperature:g}", "leave one out")
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
            images, labels, what = (_draw if given.noise is None else _around_centroids)(model, given, generator)
        images = (255 * images.clamp(0, 1)).round().byte().cpu()
        if given.output.suffix == ".npz":
            arrays = {"images": images[:, 0].numpy()} | ({} if labels is None else {"labels": labels.numpy().astype(np.uint8)})
            np.savez_compressed(given.output, **arrays)
        else:
            Image.fromarray(grid_picture(images / 255, min(8, len(images)), f"{what} | {opened.dataset}")).save(given.output)
        print(f"{given.output}: {len(images)} {what}, trained on {opened.dataset}")
    return 0


def _labels(given: Namespace, classes: int) -> Tensor:
    import torch

    if given.label is None:
        return torch.arange(given.num) % classes
    if not 0 <= given.label < classes:
        raise UserError(f"--label expected a class from 0 to {classes - 1}", f"got {given.label}")
    return torch.full((given.num,), given.label)


def _draw(model: LightningModule, given: Namespace, generator: torch.Generator) -> tuple[Tensor, Tensor | None, str]:
    from lit_models.contracts import HasSamplers
    from lit_models.sampling.samplers import samplers_of, temperature_options

    known, name = samplers_of(model), type(model).__name__
    if not known:
        raise UserError("sample expected a model that can be sampled", f"got {name}", "decode about class places instead: --noise 0.5")
    if given.sampler is not None and (given.sampler not in known or not isinstance(model, HasSamplers)):
        expected = f"one of {', '.join(known)}" if isinstance(model, HasSamplers) else f"no name: {name} has one way to be sampled"
        raise UserError(f"--sampler expected {expected}", f"got {given.sampler}")
    sampler = given.sampler or next(iter(known))
    classes = known[sampler]
    if classes is None and given.label is not None:
        labelled = [each for each, taken in known.items() if taken]
        if labelled:
            remedy = "or decode about the place of the class: --noise 0.5"
            raise UserError(f"--label expected a sampler that takes labels: {', '.join(labelled)}", f"got {sampler}", remedy)
        raise UserError("--label expected a model that takes labels", f"got {name}")
    labels = None if classes is None else _labels(given, classes)
    options: dict[str, Any] = dict(temperature_options(model, given.temperature))
    what = f"samples of {name}"
    if isinstance(model, HasSamplers):
        options["sampler"], what = sampler, f"{what}, sampler {sampler}"
    if given.temperature is not None:
        what = f"{what}, temperature {given.temperature:g}"
    return model.sample(given.num, labels, generator, **options), labels, what


def _around_centroids(model: LightningModule, given: Namespace, generator: torch.Generator) -> tuple[Tensor, Tensor, str]:
    from lit_models.contracts import CanDecode, HasAnchors, HasTrainingCodes
    from lit_models.sampling.class_places import class_places
    from lit_models.sampling.samplers import draw_about_places

    if not (isinstance(model, CanDecode) and isinstance(model, HasAnchors | HasTrainingCodes)):
        raise UserError("--noise expected a model with anchors or with codes of training images", f"got {type(model).__name__}")
    places, _, unit = class_places(model)
    labels = _labels(given, len(places))
    what = f"decodes of {type(model).__name__} about its class places, noise {given.noise:g} {unit}"
    return draw_about_places(model, labels, given.noise, generator), labels, what
