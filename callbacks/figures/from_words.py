"""Images that are described by words."""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.figures.figure import Drawn, Figure, caption
from callbacks.figures.picture import grid_picture
from lit_models.contracts import CanSampleText
from lit_models.training.fixed_images import class_names_of

TEXTS = ("very thin", "very thick", "leaning far left", "upright", "leaning far right", "narrow", "wide")


class FromWords(Figure):
    """Images of a few words each, one row per text and one column per class. The noise is the same in every row and every time.

    So the words alone make the difference between two rows.
    """

    needs = (CanSampleText,)

    def __init__(self, texts: Sequence[str] = TEXTS, n: int = 10, seed: int = 0, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.texts, self.n, self.seed = texts, n, seed

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        names = class_names_of(trainer, pl_module.classes) if pl_module.classes else ("image",)
        nouns = [names[column % len(names)] for column in range(self.n)]
        rows = [
            pl_module.sample_text([f"{text} {noun}" for noun in nouns], torch.Generator().manual_seed(self.seed)) for text in self.texts
        ]
        title = caption(trainer, "images from words, row = what is asked for")
        yield "from_words", grid_picture(torch.cat(rows), self.n, title, list(self.texts))
