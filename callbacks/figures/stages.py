"""The development of samples in training."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.figure import Drawn, Figure, caption
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanSample, HasTrainingCodes
from lit_models.sampling.evaluation_mode import evaluation_mode


class Stages(Figure):
    """The same draws, one per class where the model takes labels, at growing ages of the model; each row is an age in batches seen.

    Rows are taken after `first` batches, twice as many, four times, and so on; the last row is the model as it is. It is for models that
    are sampled without codes of training images: within an epoch there are no such codes, to which a density could be fitted.
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
            with evaluation_mode(pl_module):
                self.rows[trainer.global_step] = self._draw(pl_module)

    def _draw(self, pl_module: LightningModule) -> torch.Tensor:
        labels = None if pl_module.classes is None else torch.arange(10) % pl_module.classes
        images = pl_module.sample(10, labels, generator=torch.Generator().manual_seed(self.seed))
        return (255 * images).round().byte().cpu()  # as the picture will show them

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        rows = self.rows | {trainer.global_step: self._draw(pl_module)}
        title = caption(trainer, "the same samples, row = batches seen")
        yield "samples/stages", grid_picture(torch.cat(list(rows.values())) / 255, 10, title, rows=[str(step) for step in rows])

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = dict(state_dict["rows"])
