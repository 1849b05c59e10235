"""Upper halves of images, and what the model draws below them."""

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.classes import note
from callbacks.figures.figure import Drawn, Figure, caption, one_per_class
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanComplete
from lit_models.training.fixed_images import class_names_of


class Completions(Figure):
    """The same validation image of each class every time: the image, its upper half, and `n` completions drawn from the same noise.

    Only the first ten of more classes are shown. Images without labels are shown as they come.
    """

    needs = (CanComplete,)

    def __init__(self, n: int = 6, seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        if n < 1:
            raise ValueError(f"n expected at least one completion, got {n}")
        self.n, self.seed = n, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        images, labels, occurring = one_per_class(trainer, pl_module)
        shown = list(range(len(images))) if labels is None else labels.tolist()
        names = tuple(str(number) for number in shown) if labels is None else class_names_of(trainer, max(shown) + 1)
        known = torch.zeros(images.shape[2:], dtype=torch.bool, device=images.device)
        known[: images.shape[2] // 2] = True
        noise = torch.Generator().manual_seed(self.seed)
        drawn = pl_module.complete(images.repeat_interleave(self.n, dim=0), known, noise).unflatten(0, (len(images), self.n))
        columns = torch.cat([images[:, None], torch.where(known, images, 0.5)[:, None], drawn], dim=1)  # (rows, n + 2, C, H, W)
        title = caption(trainer, f"lower halves drawn given the upper half{note(shown, occurring)}")
        heads = ["image", "given", *["model"] * self.n]
        yield "completions", grid_picture(columns.flatten(0, 1), self.n + 2, title, [names[label] for label in shown], heads)
