"""The development of samples in training."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.classes import MOST, heads_of, note, shown_classes
from callbacks.figures.figure import Drawn, Figure, caption
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanSample, HasTrainingCodes
from lit_models.training.fixed_images import class_names_of


class Stages(Figure):
    """The same ten draws at growing ages of the model; each row is an age in batches seen.

    Where the model takes labels, the columns are classes: all in turn, or the first ten of more. Rows are taken after `first` batches,
    twice as many, four times, and so on; the last row is the model as it is. The figure is for models that are sampled without codes of
    training images: within an epoch there are no such codes, to which a density could be fitted.
    """

    needs = (CanSample,)

    def __init__(self, first: int = 25, seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.first, self.seed = first, seed
        self.rows: dict[int, torch.Tensor] = {}

    def what_is_missing(self, trainer: Trainer, pl_module: LightningModule) -> str:
        missing = super().what_is_missing(trainer, pl_module)
        if not missing and isinstance(pl_module, HasTrainingCodes):
            return f"{type(pl_module).__name__} is sampled by codes of training images, which are missing within an epoch"
        return missing

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        times = trainer.global_step / self.first
        if not self.missing and trainer.is_global_zero and times in (1 << power for power in range(40)):
            with self.observing(pl_module):
                self.rows[trainer.global_step] = self._draw(pl_module)

    def _draw(self, pl_module: LightningModule) -> torch.Tensor:
        labels = None if pl_module.classes is None else torch.tensor(_columns(pl_module.classes))
        images = pl_module.sample(MOST, labels, generator=torch.Generator().manual_seed(self.seed))
        return (255 * images).round().byte().cpu()  # as the picture will show them

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        rows = self.rows | {trainer.global_step: self._draw(pl_module)}
        heads, some = [], ""
        if pl_module.classes is not None:
            names, shown = class_names_of(trainer, pl_module.classes), _columns(pl_module.classes)
            heads, some = heads_of([names[label] for label in shown]), note(shown, pl_module.classes)
        title, ages = caption(trainer, f"the same samples, row = batches seen{some}"), [str(step) for step in rows]
        yield "samples/stages", grid_picture(torch.cat(list(rows.values())) / 255, MOST, title, rows=ages, heads=heads)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = dict(state_dict["rows"])


def _columns(classes: int) -> list[int]:
    """The class of each column: all in turn, or the first ten of more."""
    shown = shown_classes(classes)
    return [shown[column % len(shown)] for column in range(MOST)]
