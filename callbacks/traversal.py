"""Walks through the code."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.figure import Drawn, Figure, caption
from callbacks.neighbours import one_of_each
from callbacks.picture import grid_picture
from lit_models.contracts import CanDecode, CanEncode


class Traversal(Figure):
    """Straight lines from the code of each digit's image to that of the next; for a 2-D code also the manifold.

    The manifold lays a grid over the standard normal's quantiles 0.02 to 0.98 (Kingma & Welling 2014, figure 4).
    """

    needs = (CanEncode, CanDecode)

    def __init__(self, steps: int = 11, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.steps = steps

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        images, labels = (part.to(pl_module.device) for part in one_of_each(trainer))
        codes = pl_module.encode(images)
        ends = codes.roll(-1, dims=0)
        path = torch.linspace(0, 1, self.steps, device=codes.device)
        lines = torch.stack([torch.lerp(codes, ends, float(part)) for part in path], dim=1)  # (digits, steps, ...)
        names = [f"{a} to {b}" for a, b in zip(labels.tolist(), labels.roll(-1).tolist(), strict=True)]
        title = caption(trainer, "lines between the codes of two images")
        yield "traversal/lines", grid_picture(pl_module.decode(lines.flatten(0, 1)), self.steps, title, rows=names)
        if codes.shape[1:] == (2,):
            title = caption(trainer, "the 2-D code over the standard normal's quantiles")
            yield "traversal/manifold", grid_picture(pl_module.decode(quantile_grid(20).to(codes)), 20, title)


def quantile_grid(side: int) -> Tensor:
    """Points at equal quantiles of the standard normal, (side * side, 2), the first row at the top."""
    ticks = torch.special.ndtri(torch.linspace(0.02, 0.98, side))
    down, right = torch.meshgrid(-ticks, ticks, indexing="ij")
    return torch.stack([right, down], dim=-1).flatten(0, 1)
