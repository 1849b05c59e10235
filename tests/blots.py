"""A data module of the tests: images of any shape with named classes, or without labels; and small models for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from test_callbacks import trainer_in
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset, default_collate

from callbacks import SeedEachStep
from lit_models.ae import AE
from lit_models.gan import GAN
from lit_models.vqvae import VQVAE

WORDS = tuple(f"kind {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
FASHION = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


class Blots(LightningDataModule):
    """Images of one colour each and a little noise, in any shape; the colour tells the class. `classes` None: without labels."""

    dataset_name = "blots"

    def __init__(self, image_shape: tuple[int, int, int], classes: int | None, n: int = 192) -> None:
        super().__init__()
        self.image_shape, self.classes = image_shape, classes
        self.class_names = () if classes is None else WORDS[:classes]
        generator = torch.Generator().manual_seed(0)
        self.labels = torch.arange(n) % (classes or 5)
        colours = torch.rand(classes or 5, image_shape[0], 1, 1, generator=generator)
        self.pixels = (0.8 * colours[self.labels] + 0.2 * torch.rand(n, *image_shape, generator=generator)).clamp(0, 1)

    def images(self, split: str) -> tuple[Tensor, Tensor | None]:
        rows = slice(0, -64) if split == "train" else slice(-64, None)
        return self.pixels[rows], None if self.classes is None else self.labels[rows]

    def reference_images(self, split: str, n: int) -> tuple[Tensor, Tensor | None]:
        images, labels = self.images(split)
        return images[:n], None if labels is None else labels[:n]

    def _loader(self, split: str) -> DataLoader:
        return DataLoader(
            TensorDataset(*(part for part in self.images(split) if part is not None)), batch_size=64, collate_fn=default_collate
        )

    def train_dataloader(self) -> DataLoader:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._loader("val")


def fit(folder: Path, model: Any, data: Blots, *figures: Any) -> Trainer:
    trainer = trainer_in(folder, SeedEachStep(), *figures)
    trainer.fit(model, datamodule=data)
    return trainer


MODELS: dict[str, Callable[..., Any]] = {
    "ae": lambda **arguments: AE(channels=16, latent_dim=2, **arguments),
    "vqvae": lambda **arguments: VQVAE(
        n_codes=16, channels=16, prior_width=32, prior_layers=1, autoencoder_steps=1, prior_steps=50, **arguments
    ),
    "gan": lambda **arguments: GAN(generator_channels=16, discriminator_channels=16, **{"clusters": 2, **arguments}),
}
