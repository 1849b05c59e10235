"""What becomes of pure noise on its way to images."""

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.classes import note, shown_classes
from callbacks.figures.figure import Drawn, Figure, caption
from callbacks.figures.picture import grid_picture
from lit_models.contracts import HasTrajectory
from lit_models.training.fixed_images import class_names_of

MOST = 11  # stages that a row has room for


class FromNoise(Figure):
    """From noise on the left to an image on the right, one row per class, from the same noise every time.

    Only the first ten of more classes are shown. A model without labels gets ten rows. Of more than ten steps some are shown.
    """

    needs = (HasTrajectory,)

    def __init__(self, seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.seed = seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        shown = shown_classes(pl_module.classes or 10)
        labels = torch.tensor(shown) if pl_module.classes else None
        states = pl_module.trajectory(len(shown), labels, torch.Generator().manual_seed(self.seed))  # (rows, stages, C, H, W)
        chosen = torch.linspace(0, states.shape[1] - 1, min(MOST, states.shape[1])).round().long()
        names = class_names_of(trainer, pl_module.classes) if pl_module.classes else tuple(str(row) for row in shown)
        more = note(shown, pl_module.classes) if pl_module.classes else ""
        title = caption(trainer, f"from noise to image in {states.shape[1] - 1} steps{more}")
        heads = ["noise", *[f"step {number}" for number in chosen[1:].tolist()]]
        yield "from_noise", grid_picture(states[:, chosen].flatten(0, 1), len(chosen), title, [names[row] for row in shown], heads)
