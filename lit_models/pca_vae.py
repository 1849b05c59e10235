r"""PCA-VAE: the code's mean is a principal component analysis, its variance and the decoder are learned.

:math:`q(z|x) = N(A (x - m), \operatorname{diag} \sigma^2)` with one learned variance a component, the same for all images. Minimises
:math:`E_q[-\log p(x|z)] + \beta\, KL(q(z|x) \,\|\, N(0, I))`. The means are fixed, so that the KL moves the variances alone, towards 1,
while the reconstruction moves them towards 0: the decoder learns to be smooth over the distance on which they agree.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lit_models.losses import PIXELS, bernoulli_loss, gaussian_kl, is_binary, squared_error
from lit_models.nn.autoencoder import Decoder
from lit_models.nn.pca import PCAEncoder
from lit_models.sampling.densities import DensityName
from lit_models.sampling.training_codes import SampleCodes, TrainingCodes
from lit_models.training.fit_before_training import images_to_fit
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam


class PCAVAE(SampleCodes, LightningModule):
    """`latent_dim` principal components; `whiten` gives them the variance of the prior, 1.

    `latent_density` is where `sample` takes codes from unasked. The learning rate falls from `lr` to a fiftieth of it in `lr_steps` steps.
    """

    def __init__(
        self,
        latent_dim: int = 3,
        whiten: bool = True,
        beta: float = 1.0,
        latent_density: DensityName = "normal",
        channels: int = 32,
        blocks: int = 1,
        lr: float = 2e-3,
        lr_steps: int = 5000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.latent_dim, self.beta, self.latent_density, self.lr, self.lr_steps = latent_dim, beta, latent_density, lr, lr_steps
        self.encoder = PCAEncoder(latent_dim, whiten)
        self.log_var = nn.Parameter(torch.full((latent_dim,), -4.0))  # of the code, log sigma^2
        self.decoder = Decoder(latent_dim, channels, blocks)
        self.training_codes = TrainingCodes()

    def setup(self, stage: str) -> None:
        given = images_to_fit(self.encoder, self.trainer) if stage == "fit" else None
        if given is not None:
            self.encoder.fit(given[0])

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def _step(self, batch: list[Tensor], stage: str) -> Tensor:
        images, _ = batch
        mean, log_var = self.posterior(images)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        reconstruction = bernoulli_loss(self.decoder(z), images).mean()
        kl = gaussian_kl(mean, log_var).mean()
        loss = reconstruction + self.beta * kl
        terms = {"loss": loss, "reconstruction": reconstruction, "kl": kl}
        if stage != "train":
            terms["mse"] = squared_error(self.decode(mean), images).mean() / PIXELS
            if is_binary(images):
                terms["nelbo"] = reconstruction + kl  # nats per image, an upper bound of -log p(x)
        log_terms(self, stage, terms, len(images))
        return loss

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), (B, latent_dim) each; the latter is the same for all images."""
        return self.encoder(images), self.log_var.expand(len(images), -1)

    def encode(self, images: Tensor) -> Tensor:
        """Principal components, the means of the code, (B, latent_dim)."""
        return self.encoder(images)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))
