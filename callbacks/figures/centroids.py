"""The places where classes live in the code, decoded."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.figures.figure import Drawn, Figure, caption, decode_known
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanDecode, HasAnchors, HasTrainingCodes
from lit_models.sampling.class_places import class_places, code_vectors


class Centroids(Figure):
    """Class means of the codes and their medoids, decoded; then the means with growing noise, the same every time.

    The unit of noise is the class's own spread. For a model with anchors it shows these, and the unit is half the distance between two of
    them. The cell of a class that does not occur is black.
    """

    needs = (CanDecode, HasAnchors | HasTrainingCodes)

    def __init__(self, sigmas: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.sigmas, self.seed = sigmas, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        places, units, unit = class_places(pl_module)
        noise = torch.randn(places.shape, generator=torch.Generator().manual_seed(self.seed)).to(places.device)
        rows = [decode_known(pl_module, places + sigma * units * noise) for sigma in (0.0, *self.sigmas)]
        heads = [str(label) for label in range(len(places))]
        if isinstance(pl_module, HasAnchors):
            yield "centroids/means", grid_picture(rows[0], len(places), caption(trainer, "decoded anchors"), heads=heads)
        else:
            both = torch.cat([rows[0], decode_known(pl_module, medoids(*code_vectors(pl_module)))])
            title = caption(trainer, "decoded class means and medoids")
            yield "centroids/means", grid_picture(both, len(places), title, rows=["mean", "medoid"], heads=heads)
        names = [f"{sigma:g}" for sigma in (0.0, *self.sigmas)]
        title = caption(trainer, f"class places with noise, row = sigma in {unit}")
        yield "centroids/noise", grid_picture(torch.cat(rows), len(places), title, rows=names, heads=heads)


def medoids(codes: Tensor, labels: Tensor, classes: int = 10) -> Tensor:
    """The code of each class with the least sum of distances to the others, (classes, ...); NaN for a class that does not occur.

    Unlike the mean it is the code of a real image.
    """
    chosen = []
    for label in range(classes):
        own = codes[labels == label].flatten(1)
        place = int(torch.cdist(own, own).sum(dim=1).argmin()) if len(own) else -1
        chosen.append(codes[labels == label][place] if len(own) else torch.full_like(codes[0], torch.nan))
    return torch.stack(chosen)
