"""Where the classes live in the code, decoded."""

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figure import Drawn, Figure, caption, training_codes
from callbacks.picture import grid_picture
from lit_models.contracts import CanDecode, CanEncode, HasTrainingCodes
from lit_models.training_codes import class_means, class_spreads


class Centroids(Figure):
    """Class means of the codes, decoded; below them the same with noise of `sigmas` times the class's own spread."""

    needs = (CanEncode, CanDecode, HasTrainingCodes)

    def __init__(self, sigmas: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.sigmas, self.seed = sigmas, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        codes, labels = training_codes(pl_module)
        means, spreads = class_means(codes, labels), class_spreads(codes, labels)
        noise = torch.randn(means.shape, generator=torch.Generator().manual_seed(self.seed)).to(means.device)
        rows = [pl_module.decode(means + sigma * spreads * noise) for sigma in (0.0, *self.sigmas)]
        heads = [str(digit) for digit in range(len(means))]
        yield "centroids/means", grid_picture(rows[0], 10, caption(trainer, "decoded class means"), heads=heads)
        names = [f"{sigma:g}" for sigma in (0.0, *self.sigmas)]
        title = caption(trainer, "class means with noise, row = sigma in class spreads")
        yield "centroids/noise", grid_picture(torch.cat(rows), 10, title, rows=names, heads=heads)
