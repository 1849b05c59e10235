"""Pictures of a study: grids of samples, and the last figures of each run, in the folder `pictures`."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageChops
from torch import Tensor

from callbacks.figures.classes import note, shown_classes
from callbacks.figures.picture import grid_picture
from lit_models.checkpoints.files import replacing
from lit_models.study.plan import System
from lit_models.training.fixed_images import names_of_classes

FIGURES = {
    "reconstructions": "reconstructions",
    "centroids": "centroids/noise",
    "neighbours": "neighbours",
    "latents": "latents/p*",  # plane for codes of two numbers, pca for codes of four or more
}  # kind of picture, and the tag of the run's figure


def save_grid(study: Path, system: System, sampler: str, drawn: Tensor, classes: int | None, main: bool, names: Sequence[str] = ()) -> None:
    """A picture of the first samples: one row per class if the sampler takes labels, 8 x 8 otherwise.

    Args:
        drawn: Samples of all classes in turn, if the sampler takes labels. Only the first ten of more classes are shown.
        names: Names of the classes; by default their numbers.
    """
    images, columns, rows, title = drawn[:64], 8, list[str](), f"{system.title}, {sampler}"
    each = min(8, len(drawn) // classes) if classes else 0  # samples per class
    if classes and each:
        shown = shown_classes(classes)
        images, columns = torch.cat([drawn[label::classes][:each] for label in shown]), each
        rows = [names_of_classes(names, classes)[label] for label in shown]
        title += note(shown, classes)
    kind = "samples" if main else "other_samples"
    picture = Image.fromarray(grid_picture(images, columns, title, rows=rows))
    file = study / "pictures" / f"{system.name}__{kind}__{sampler.replace(' ', '_')}.png"
    _save(picture, file, colours=256)


def keep_figures(study: Path, run: Path, system: System) -> None:
    """Copy the last picture of each figure of the run."""
    for kind, tag in FIGURES.items():
        epochs = sorted((run / "figures").glob(f"{tag}/epoch_*.png"))
        if epochs:
            _save(Image.open(epochs[-1]), study / "pictures" / f"{system.name}__{kind}__.png", colours=64 if kind == "latents" else 256)


def _save(picture: Image.Image, file: Path, colours: int) -> None:
    """Save a picture with few colours, because the page has many pictures: 16 greys are enough for small images, 64 colours for plots."""
    red, green, blue = picture.convert("RGB").split()
    coloured = any(ImageChops.difference(red, other).getbbox() for other in (green, blue))
    small = picture.convert("RGB").quantize(colours) if coloured else picture.convert("L").quantize(16)
    with replacing(file) as part:
        small.save(part, format="png", optimize=True)
