"""Pictures of a study: grids of samples, and the last figures of each run, in the folder `pictures`."""

from pathlib import Path

from PIL import Image, ImageChops
from torch import Tensor

from callbacks.figures.picture import grid_picture
from lit_models.checkpoints.files import replacing
from lit_models.study.plan import System

FIGURES = {
    "reconstructions": "reconstructions",
    "centroids": "centroids/noise",
    "neighbours": "neighbours",
    "latents": "latents/p*",  # plane for codes of two numbers, pca for codes of four or more
}  # kind of picture, and the tag of the run's figure


def save_grid(study: Path, system: System, sampler: str, drawn: Tensor, classes: int | None, main: bool) -> None:
    """A picture of the first samples: one row per class if the sampler takes labels, 8 x 8 otherwise."""
    images = drawn[:64]
    if classes:  # they were asked for in turn
        images = drawn[: 8 * classes].view(8, classes, 1, 28, 28).transpose(0, 1).reshape(8 * classes, 1, 28, 28)
    kind = "samples" if main else "other_samples"
    rows = [str(label) for label in range(classes or 0)]
    picture = Image.fromarray(grid_picture(images, 8, f"{system.title}, {sampler}", rows=rows))
    file = study / "pictures" / f"{system.name}__{kind}__{sampler.replace(' ', '_')}.png"
    _save(picture, file)


def keep_figures(study: Path, run: Path, system: System) -> None:
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
