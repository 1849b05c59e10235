"""The neighbourhood of an image's code."""

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.figure import Drawn, Figure, caption, decode_known, one_per_class
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanDecode, CanEncode, HasTrainingCodes
from lit_models.sampling.class_places import class_spreads, code_vectors


class Neighbours(Figure):
    """A validation image of each class, its reconstruction, and decodes of its code with growing noise, the same every time.

    The unit of noise is the spread of the image's class, as in `Centroids`.
    """

    needs = (CanEncode, CanDecode, HasTrainingCodes)

    def __init__(self, sigmas: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.sigmas, self.seed = sigmas, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        images, labels = one_per_class(trainer, pl_module)
        codes, code_labels = code_vectors(pl_module)
        spreads = (
            class_spreads(codes, code_labels)[labels] if (code_labels >= 0).all() else codes.std(dim=0).expand_as(codes[: len(images)])
        )
        codes = pl_module.encode(images)
        noise = torch.randn(codes.shape, generator=torch.Generator().manual_seed(self.seed)).to(codes)
        rows = [images] + [decode_known(pl_module, codes + sigma * spreads * noise) for sigma in (0.0, *self.sigmas)]
        names = ["image", *(f"{sigma:g}" for sigma in (0.0, *self.sigmas))]
        title = caption(trainer, "codes of images with noise, row = sigma in class spreads")
        yield "neighbours", grid_picture(torch.cat(rows), len(images), title, rows=names)
