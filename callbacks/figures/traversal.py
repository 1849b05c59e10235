"""Walks through the code."""

from itertools import pairwise

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.figures.classes import note, shown_classes
from callbacks.figures.figure import Drawn, Figure, caption, one_per_class
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanDecode, CanEncode, HasAnchors, HasTrainingCodes
from lit_models.sampling.class_places import code_vectors
from lit_models.training.fixed_images import class_names_of


class Traversal(Figure):
    """Straight lines from the code of an image of each class to that of the next class, or between the anchors of a model that has them.

    There are at most ten lines: only the first ten of more classes are joined. Images without labels are joined as they come.

    For codes of at most 16 numbers it also walks along each number, from -2 to 2 standard deviations about the mean code. For a 2-D code it
    shows the manifold, a grid over the standard normal's quantiles 0.02 to 0.98 (Kingma & Welling 2014, figure 4).
    """

    needs = (CanDecode, CanEncode | HasAnchors)

    def __init__(self, steps: int = 11, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.steps = steps

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        if isinstance(pl_module, HasAnchors):
            anchors = pl_module.anchors()
            shown, names = shown_classes(len(anchors)), class_names_of(trainer, len(anchors))
            starts, ends = anchors[shown[:-1]], anchors[shown[1:]]
            rows = [f"{names[a]} to {names[b]}" for a, b in pairwise(shown)]
            title = caption(trainer, f"lines from anchor to anchor{note(shown, len(anchors))}")
        else:
            images, labels, occurring = one_per_class(trainer, pl_module)
            starts = pl_module.encode(images)
            ends = starts.roll(-1, dims=0)
            shown = list(range(len(images))) if labels is None else labels.tolist()
            names = tuple(str(label) for label in shown) if labels is None else class_names_of(trainer, max(shown) + 1)
            rows = [f"{names[a]} to {names[b]}" for a, b in zip(shown, shown[1:] + shown[:1], strict=True)]
            title = caption(trainer, f"lines between the codes of two images{note(shown, occurring)}")
        path = torch.linspace(0, 1, self.steps, device=starts.device)
        lines = torch.stack([torch.lerp(starts, ends, float(part)) for part in path], dim=1)  # (lines, steps, ...)
        yield "traversal/lines", grid_picture(pl_module.decode(lines.flatten(0, 1)), self.steps, title, rows=rows)
        if isinstance(pl_module, HasTrainingCodes) and starts.ndim == 2 and starts.shape[1] <= 16:
            yield "traversal/axes", self._axes(trainer, pl_module)
        if starts.shape[1:] == (2,):
            title = caption(trainer, "the 2-D code over the standard normal's quantiles")
            yield "traversal/manifold", grid_picture(pl_module.decode(quantile_grid(20).to(starts)), 20, title)

    def _axes(self, trainer: Trainer, pl_module: LightningModule) -> np.ndarray:
        codes, _ = code_vectors(pl_module)
        ticks = torch.linspace(-2, 2, self.steps, device=codes.device)
        walks = codes.mean(dim=0) + ticks[None, :, None] * torch.diag(codes.std(dim=0))[:, None]  # (D, steps, D)
        names = [f"code {number + 1}" for number in range(codes.shape[1])]
        title = caption(trainer, "along each number of the code, -2 to 2 standard deviations")
        return grid_picture(pl_module.decode(walks.flatten(0, 1)), self.steps, title, rows=names)


def quantile_grid(side: int) -> Tensor:
    """Points at equal quantiles of the standard normal, (side * side, 2); the first row is at the top."""
    ticks = torch.special.ndtri(torch.linspace(0.02, 0.98, side))
    down, right = torch.meshgrid(-ticks, ticks, indexing="ij")
    return torch.stack([right, down], dim=-1).flatten(0, 1)
