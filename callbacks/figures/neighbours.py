"""What lies around the code of an image."""

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.figure import Drawn, Figure, caption, training_codes
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanDecode, CanEncode, HasTrainingCodes
from lit_models.sampling.training_codes import class_spreads


class Neighbours(Figure):
    """A validation image of each digit, its reconstruction, and decodes of its code with growing noise, the same every time.

    Noise is in units of the spread of the image's class, as in `Centroids`.
    """

    needs = (CanEncode, CanDecode, HasTrainingCodes)

    def __init__(self, sigmas: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.sigmas, self.seed = sigmas, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        images, labels = one_of_each(trainer, pl_module)
        spreads = class_spreads(*training_codes(pl_module))[labels]
        codes = pl_module.encode(images)
        noise = torch.randn(codes.shape, generator=torch.Generator().manual_seed(self.seed)).to(codes)
        rows = [images] + [pl_module.decode(codes + sigma * spreads * noise) for sigma in (0.0, *self.sigmas)]
        names = ["image", *(f"{sigma:g}" for sigma in (0.0, *self.sigmas))]
        title = caption(trainer, "codes of images with noise, row = sigma in class spreads")
        yield "neighbours", grid_picture(torch.cat(rows), len(images), title, rows=names)


def one_of_each(trainer: Trainer, pl_module: LightningModule) -> tuple[torch.Tensor, torch.Tensor]:
    """The first fixed validation image of each digit that occurs, by digit."""
    images, labels = trainer.datamodule.reference_images("val", 1000)
    first = torch.stack([(labels == digit).nonzero()[0, 0] for digit in labels.unique()])
    return images[first].to(pl_module.device, pl_module.dtype), labels[first].to(pl_module.device)
