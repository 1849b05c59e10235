r"""Autoencoder: a code of a few numbers from which the image is rebuilt.

Minimises :math:`\sum_i (\hat x_i - x_i)^2`. With `noise` the encoder sees a spoilt image and the clean one is asked for
(denoising autoencoder). Nothing orders the codes: which of them have images is found out afterwards, from the codes of
training images (`lit_models.sampling.densities`).

Reference: Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006,
https://doi.org/10.1126/science.1127647; Vincent et al., Extracting and Composing Robust Features with Denoising
Autoencoders, 2008, section 2.3.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.losses import PIXELS, squared_error
from lit_models.nn.autoencoder import Decoder, Encoder
from lit_models.sampling.densities import DensityName
from lit_models.sampling.training_codes import SampleCodes, TrainingCodes
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam


class AE(SampleCodes, LightningModule):
    """`latent_dim` is the width of the code; `noise` the standard deviation of what is added to pixels in [0, 1].

    `latent_density` is where `sample` takes codes from unasked. The learning rate falls from `lr` to a fiftieth of it in `lr_steps` steps.
    """

    def __init__(
        self,
        latent_dim: int = 16,
        noise: float = 0.0,
        latent_density: DensityName = "gaussian",
        channels: int = 32,
        blocks: int = 1,
        lr: float = 2e-3,
        lr_steps: int = 5000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.latent_dim, self.latent_density, self.noise, self.lr, self.lr_steps = latent_dim, latent_density, noise, lr, lr_steps
        self.encoder = Encoder(latent_dim, channels, blocks)
        self.decoder = Decoder(latent_dim, channels, blocks)
        self.training_codes = TrainingCodes()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def _step(self, batch: list[Tensor], stage: str) -> Tensor:
        images, _ = batch
        seen = images + self.noise * torch.randn_like(images) if self.noise and stage == "train" else images
        loss = squared_error(self.reconstruct(seen), images).mean()
        log_terms(self, stage, {"loss": loss, "mse": loss / PIXELS}, len(images))
        return loss

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps)

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))
