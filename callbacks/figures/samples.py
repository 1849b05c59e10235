"""Draws from the model."""

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.classes import note, shown_classes
from callbacks.figures.figure import Drawn, Figure, caption
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanSample, HasSamplers
from lit_models.training.fixed_images import class_names_of


class Samples(Figure):
    """Samples from the same noise every time, one row per class where the model takes labels.

    Only the first ten of more classes are shown. Each further sampler of the model gets a grid too, and so does the
    default sampler without labels where the first grid has labels.
    """

    needs = (CanSample,)

    def __init__(self, n: int = 64, seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.n, self.seed = n, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        source = f"samples, sampler {pl_module.default_sampler}" if isinstance(pl_module, HasSamplers) else "samples"
        if pl_module.classes is None:
            images = pl_module.sample(self.n, generator=self._noise())
            yield "samples/grid", grid_picture(images, 8, caption(trainer, source))
        else:
            shown, names = shown_classes(pl_module.classes), class_names_of(trainer, pl_module.classes)
            labels = torch.tensor(shown).repeat_interleave(8)
            images = pl_module.sample(len(labels), labels, generator=self._noise())
            title = caption(trainer, f"{source}, row = class{note(shown, pl_module.classes)}")
            yield "samples/grid", grid_picture(images, 8, title, rows=[names[label] for label in shown])
        samplers = list(pl_module.samplers) if isinstance(pl_module, HasSamplers) else []
        if pl_module.classes is None and samplers:  # the grid is that of the default sampler
            samplers.remove(pl_module.default_sampler)
        for sampler in samplers:
            with self.observing(pl_module):  # one that fails, as by lack of labels, leaves the others
                images = pl_module.sample(self.n, generator=self._noise(), sampler=sampler)
                yield f"samples/{sampler}", grid_picture(images, 8, caption(trainer, f"samples, sampler {sampler}"))

    def _noise(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)
