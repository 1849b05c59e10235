"""The places where classes live in the code, decoded."""

from collections.abc import Iterable

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.figures.classes import note, shown_classes
from callbacks.figures.figure import Drawn, Figure, caption, decode_known, lack_of_labels
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanDecode, HasAnchors, HasTrainingCodes
from lit_models.sampling.class_places import class_places, code_vectors
from lit_models.training.fixed_images import class_names_of


class Centroids(Figure):
    """Class means of the codes and their medoids, decoded; then the means with growing noise, the same every time.

    The unit of noise is the class's own spread. For a model with anchors it shows these, and the unit is half the distance between two of
    them. The cell of a class that does not occur is black. Only the first ten of more classes are shown.
    """

    needs = (CanDecode, HasAnchors | HasTrainingCodes)

    def __init__(self, sigmas: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.sigmas, self.seed = sigmas, seed

    def what_is_missing(self, trainer: Trainer, pl_module: LightningModule) -> str:
        missing = super().what_is_missing(trainer, pl_module)
        return missing or ("" if isinstance(pl_module, HasAnchors) else lack_of_labels(trainer))

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        places, units, unit = class_places(pl_module)
        names, shown = class_names_of(trainer, len(places)), shown_classes(len(places))
        heads, some = [names[label] for label in shown], note(shown, len(places))
        places, units = places[shown], units[shown]
        noise = torch.randn(places.shape, generator=torch.Generator().manual_seed(self.seed)).to(places.device)
        rows = [decode_known(pl_module, places + sigma * units * noise) for sigma in (0.0, *self.sigmas)]
        if isinstance(pl_module, HasAnchors):
            yield "centroids/means", grid_picture(rows[0], len(places), caption(trainer, f"decoded anchors{some}"), heads=heads)
        else:
            both = torch.cat([rows[0], decode_known(pl_module, medoids(*code_vectors(pl_module), shown))])
            title = caption(trainer, f"decoded class means and medoids{some}")
            yield "centroids/means", grid_picture(both, len(places), title, rows=["mean", "medoid"], heads=heads)
        sigmas = [f"{sigma:g}" for sigma in (0.0, *self.sigmas)]
        title = caption(trainer, f"class places with noise, row = sigma in {unit}{some}")
        yield "centroids/noise", grid_picture(torch.cat(rows), len(places), title, rows=sigmas, heads=heads)


def medoids(codes: Tensor, labels: Tensor, classes: Iterable[int]) -> Tensor:
    """The code of each of these classes with the least sum of distances to the others, (classes, ...); NaN for one that does not occur.

    Unlike the mean it is the code of a real image.
    """
    chosen = []
    for label in classes:
        own = codes[labels == label].flatten(1)
        place = int(torch.cdist(own, own).sum(dim=1).argmin()) if len(own) else -1
        chosen.append(codes[labels == label][place] if len(own) else torch.full_like(codes[0], torch.nan))
    return torch.stack(chosen)
