"""The neighbourhood of an image's code."""

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.classes import heads_of, note
from callbacks.figures.figure import Drawn, Figure, caption, decode_known, one_per_class
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanDecode, CanEncode, HasTrainingCodes
from lit_models.sampling.class_places import class_count, class_spreads, code_vectors
from lit_models.training.fixed_images import class_names_of


class Neighbours(Figure):
    """A validation image of each class, its reconstruction, and decodes of its code with growing noise, the same every time.

    The unit of noise is the spread of the image's class, as in `Centroids`. For images without labels there are ten images, and the unit is
    the spread of all codes. Only the first ten of more classes are shown.
    """

    needs = (CanEncode, CanDecode, HasTrainingCodes)

    def __init__(self, sigmas: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.sigmas, self.seed = sigmas, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        images, labels, occurring = one_per_class(trainer, pl_module)
        codes, code_labels = code_vectors(pl_module)
        heads: list[str] = []
        if labels is not None and (code_labels >= 0).all():
            classes = max(class_count(pl_module, code_labels), int(labels.max()) + 1)
            spreads, unit = class_spreads(codes, code_labels, classes)[labels], f"class spreads{note(labels, occurring)}"
            names = class_names_of(trainer, classes)
            heads = heads_of([names[label] for label in labels.tolist()])
        else:
            spreads, unit = codes.std(dim=0).expand(len(images), *codes.shape[1:]), "spreads of all codes"
        codes = pl_module.encode(images)
        noise = torch.randn(codes.shape, generator=torch.Generator().manual_seed(self.seed)).to(codes)
        rows = [images] + [decode_known(pl_module, codes + sigma * spreads * noise) for sigma in (0.0, *self.sigmas)]
        sigmas = ["image", *(f"{sigma:g}" for sigma in (0.0, *self.sigmas))]
        title = caption(trainer, f"codes of images with noise, row = sigma in {unit}")
        yield "neighbours", grid_picture(torch.cat(rows), len(images), title, rows=sigmas, heads=heads)
