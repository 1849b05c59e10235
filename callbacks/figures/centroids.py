"""Where the classes live in the code, decoded."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.figures.figure import Drawn, Figure, caption, class_places, training_codes
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanDecode, HasAnchors, HasTrainingCodes


class Centroids(Figure):
    """Class means of the codes and their medoids, decoded; then the means with growing noise, the same every time.

    Noise is in units of the class's own spread. A model with anchors shows these, and the unit is half the distance between two of them.
    """

    needs = (CanDecode, HasAnchors | HasTrainingCodes)

    def __init__(self, sigmas: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.sigmas, self.seed = sigmas, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        places, units, unit = class_places(pl_module)
        noise = torch.randn(places.shape, generator=torch.Generator().manual_seed(self.seed)).to(places.device)
        rows = [pl_module.decode(places + sigma * units * noise) for sigma in (0.0, *self.sigmas)]
        heads = [str(digit) for digit in range(len(places))]
        if isinstance(pl_module, HasAnchors):
            yield "centroids/means", grid_picture(rows[0], len(places), caption(trainer, "decoded anchors"), heads=heads)
        else:
            both = torch.cat([rows[0], pl_module.decode(medoids(*training_codes(pl_module)))])
            title = caption(trainer, "decoded class means and medoids")
            yield "centroids/means", grid_picture(both, len(places), title, rows=["mean", "medoid"], heads=heads)
        names = [f"{sigma:g}" for sigma in (0.0, *self.sigmas)]
        title = caption(trainer, f"class places with noise, row = sigma in {unit}")
        yield "centroids/noise", grid_picture(torch.cat(rows), len(places), title, rows=names, heads=heads)


def medoids(codes: Tensor, labels: Tensor, classes: int = 10) -> Tensor:
    """Of each class the code with the least sum of distances to the others: a real image's, as no mean is; (classes, ...)."""
    chosen = []
    for digit in range(classes):
        own = codes[labels == digit]
        flat = own.flatten(1)
        chosen.append(own[torch.cdist(flat, flat).sum(dim=1).argmin()])
    return torch.stack(chosen)
