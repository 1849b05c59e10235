r"""Autoencoder: a code of a few numbers from which the image is rebuilt.

Minimises :math:`\sum_i (\hat x_i - x_i)^2`. With `noise` the encoder gets a noisy image and the clean one is the target (denoising
autoencoder). Nothing orders the codes. Which codes have images is found out after training, from the codes of training images
(`lit_models.sampling.densities`).

Reference: Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006,
https://doi.org/10.1126/science.1127647; Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, 2008,
section 2.3.
"""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor

from lit_models.contracts import ImageShape
from lit_models.losses import squared_error
from lit_models.nn.autoencoder import Decoder, Encoder
from lit_models.nn.blocks import MNIST
from lit_models.nn.latent_prior import latent_prior
from lit_models.sampling.keep_training_codes import KeepTrainingCodes
from lit_models.sampling.latent_sampling import LatentSampling, SamplerName, samplers_for
from lit_models.sampling.training_codes import TrainingCodes
from lit_models.training.batches import images_of
from lit_models.training.logging import log_terms
from lit_models.training.prior_phase import adam_in_phases, idle, images_and_labels, own_parameters, prior_step, trains_prior, with_prior


class AE(LatentSampling, LightningModule):
    """`forward` is `reconstruct`.

    Args:
        latent_dim: Width of the code.
        noise: Standard deviation of the noise that is added to pixels in [0, 1] in training.
        sampler: What `sample` draws codes from by default: a density that is fitted to codes of training images, or `flow`,
            `shortcut` or `coupling`, a prior that the run trains in a second phase (`lit_models.training.prior_phase`).
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training, or 0.4 of it before a prior).
        prior_lr: Learning rate of the prior. It falls to a fiftieth in `prior_steps` steps (null: the rest of the training).
        image_shape, classes: Of the data; classes is None for images without labels, and then samplers that are named for the class go.
    """

    def __init__(
        self,
        latent_dim: int = 16,
        noise: float = 0.0,
        sampler: SamplerName = "gaussian",
        channels: int = 32,
        blocks: int = 1,
        lr: float = 8e-3,
        lr_steps: int | None = None,
        prior_lr: float = 2e-3,
        prior_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape, self.samplers, self.default_sampler = image_shape, samplers_for(sampler, classes), sampler
        self.latent_dim, self.noise, self.lr, self.lr_steps = latent_dim, noise, lr, lr_steps
        self.prior_lr, self.prior_steps = prior_lr, prior_steps
        self.encoder = Encoder(latent_dim, channels, blocks, image_shape=image_shape)
        self.decoder = Decoder(latent_dim, channels, blocks, image_shape=image_shape)
        self.training_codes = TrainingCodes()
        self.prior = latent_prior(sampler, latent_dim, classes)

    def configure_callbacks(self) -> list[Callback]:
        return [KeepTrainingCodes()]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = prior_step(self, batch) if trains_prior(self) else self._step(batch, "train")
        return loss + idle(self)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def _step(self, batch: Any, stage: str) -> Tensor:
        images, _ = images_and_labels(self, batch)
        inputs = images + self.noise * torch.randn_like(images) if self.noise and stage == "train" else images
        loss = squared_error(self.reconstruct(inputs), images).mean()
        terms = {"loss": loss, "mse": loss / images[0].numel()}
        log_terms(self, stage, terms if stage == "train" else with_prior(self, batch, terms), len(images))
        return loss

    def configure_optimizers(self) -> Any:
        return adam_in_phases(self, own_parameters(self), self.lr_steps)

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.reconstruct(images)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.encode(images_of(self, batch)[0])
