"""The same noise with other options of sampling: what steps and guidance do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.figures.classes import heads_of, note, shown_classes
from callbacks.figures.figure import Drawn, Figure, caption
from callbacks.figures.picture import grid_picture
from lit_models.contracts import HasGuidance, HasSteps
from lit_models.training.fixed_images import class_names_of


class Steps(Figure):
    """Samples in few and in many steps, one row per number of steps and one column per class, from the same noise every time."""

    needs = (HasSteps,)

    def __init__(self, steps: Sequence[int] = (1, 2, 4, 8, 16, 32), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.steps, self.seed = steps, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        yield "steps", rows_of_samples(trainer, pl_module, "row = steps", "steps", self.steps, self.seed)


class Guidance(Figure):
    """Samples with weak and with strong guidance, one row per strength and one column per class, from the same noise every time."""

    needs = (HasGuidance,)

    def __init__(self, guidance: Sequence[float] = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0), seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.guidance, self.seed = guidance, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        yield "guidance", rows_of_samples(trainer, pl_module, "row = guidance", "guidance", self.guidance, self.seed)


def rows_of_samples(trainer: Trainer, pl_module: LightningModule, what: str, option: str, values: Sequence[Any], seed: int) -> np.ndarray:
    """A grid with the same noise in every row, and another value of an option of `sample`. Of more than ten classes ten are shown."""
    classes = pl_module.classes
    shown = shown_classes(classes or 10)
    labels = torch.tensor(shown) if classes else None

    def row(value: Any) -> Tensor:
        return pl_module.sample(len(shown), labels, torch.Generator().manual_seed(seed), **{option: value})

    names = class_names_of(trainer, classes) if classes else ()
    title = caption(trainer, f"samples from the same noise, {what}{note(shown, classes) if classes else ''}")
    images = torch.cat([row(value) for value in values])
    heads = heads_of([names[label] for label in shown]) if classes else ()
    return grid_picture(images, len(shown), title, [f"{value:g}" for value in values], heads)
