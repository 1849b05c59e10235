"""Originals above their reconstructions."""

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.figure import Drawn, Figure, caption, validation_images
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanReconstruct


class Reconstructions(Figure):
    """The same `n` validation images every time: a row of eight originals above a row of their reconstructions."""

    needs = (CanReconstruct,)

    def __init__(self, n: int = 32, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.n = n

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        images, _ = validation_images(trainer, pl_module, self.n)
        columns = min(8, len(images))
        images = images[: len(images) // columns * columns]  # whole rows
        rows = zip(images.split(columns), pl_module.reconstruct(images).split(columns), strict=True)
        pairs = torch.cat([image for pair in rows for image in pair])
        names = ["image", "model"] * (len(pairs) // columns // 2)
        yield "reconstructions", grid_picture(pairs, columns, caption(trainer, "original above reconstruction"), rows=names)
