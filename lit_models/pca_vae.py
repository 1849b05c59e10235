r"""PCA-VAE: the mean of the code is a principal component analysis; its variance and the decoder are learned.

:math:`q(z|x) = N(A (x - m), \operatorname{diag} \sigma^2)` with one learned variance per component, the same for all images. Minimises
:math:`E_q[-\log p(x|z)] + \beta\, KL(q(z|x) \,\|\, N(0, I))`. The means are fixed, so the KL moves only the variances, towards 1. The
reconstruction moves them towards 0. The decoder learns to be smooth over the distance at which the two agree.
"""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn

from lit_models.contracts import ImageShape
from lit_models.losses import bernoulli_loss, gaussian_kl, is_binary, squared_error
from lit_models.nn.autoencoder import Decoder
from lit_models.nn.blocks import MNIST
from lit_models.nn.latent_prior import latent_prior
from lit_models.nn.pca import PCAEncoder
from lit_models.sampling.keep_training_codes import KeepTrainingCodes
from lit_models.sampling.latent_sampling import LatentSampling, SamplerName, samplers_for
from lit_models.sampling.training_codes import TrainingCodes
from lit_models.training.batches import images_of
from lit_models.training.fit_before_training import images_to_fit
from lit_models.training.logging import log_terms
from lit_models.training.prior_phase import adam_in_phases, idle, images_and_labels, own_parameters, prior_step, trains_prior, with_prior


class PCAVAE(LatentSampling, LightningModule):
    """`forward` is `reconstruct`.

    Args:
        latent_dim: Number of principal components. `whiten` gives them the variance of the prior, 1.
        beta: Weight of the KL.
        sampler: What `sample` draws codes from by default: a density that is fitted to codes of training images, of which `normal` is the
            prior, or `flow`, `shortcut` or `coupling`, a prior that the run trains in a second phase (`lit_models.training.prior_phase`).
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training, or 0.4 of it before a prior).
        prior_lr: Learning rate of the prior. It falls to a fiftieth in `prior_steps` steps (null: the rest of the training).
        image_shape, classes: Of the data; classes is None for images without labels, and then samplers that are named for the class go.
    """

    def __init__(
        self,
        latent_dim: int = 3,
        whiten: bool = True,
        beta: float = 1.0,
        sampler: SamplerName = "normal",
        channels: int = 32,
        blocks: int = 1,
        lr: float = 4e-3,
        lr_steps: int | None = None,
        prior_lr: float = 2e-3,
        prior_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape, self.samplers, self.default_sampler = image_shape, samplers_for(sampler, classes), sampler
        self.latent_dim, self.beta = latent_dim, beta
        self.lr, self.lr_steps, self.prior_lr, self.prior_steps = lr, lr_steps, prior_lr, prior_steps
        self.encoder = PCAEncoder(latent_dim, whiten, image_shape)
        self.log_var = nn.Parameter(torch.full((latent_dim,), -4.0))  # of the code, log sigma^2
        self.decoder = Decoder(latent_dim, channels, blocks, image_shape=image_shape)
        self.training_codes = TrainingCodes()
        self.prior = latent_prior(sampler, latent_dim, classes)

    def configure_callbacks(self) -> list[Callback]:
        return [KeepTrainingCodes()]

    def setup(self, stage: str) -> None:
        found = images_to_fit(self.encoder, self.trainer) if stage == "fit" else None
        if found is not None:
            self.encoder.fit(found[0])

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = prior_step(self, batch) if trains_prior(self) else self._step(batch, "train")
        return loss + idle(self)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def _step(self, batch: Any, stage: str) -> Tensor:
        images, _ = images_and_labels(self, batch)
        mean, log_var = self.posterior(images)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        reconstruction = bernoulli_loss(self.decoder(z), images).mean()
        kl = gaussian_kl(mean, log_var).mean()
        loss = reconstruction + self.beta * kl
        terms = {"loss": loss, "reconstruction": reconstruction, "kl": kl}
        if stage != "train":
            terms["mse"] = squared_error(self.decode(mean), images).mean() / images[0].numel()
            if is_binary(images):
                terms["nelbo"] = reconstruction + kl  # nats per image, an upper bound of -log p(x)
        log_terms(self, stage, terms if stage == "train" else with_prior(self, batch, terms), len(images))
        return loss

    def configure_optimizers(self) -> Any:
        return adam_in_phases(self, own_parameters(self), self.lr_steps)

    # -- verbs

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), (B, latent_dim) each; the log-variance is the same for all images."""
        return self.encoder(images), self.log_var.expand(len(images), -1)

    def encode(self, images: Tensor) -> Tensor:
        """Principal components, the means of the code, (B, latent_dim)."""
        return self.encoder(images)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.reconstruct(images)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.encode(images_of(self, batch)[0])
