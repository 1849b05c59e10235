r"""PCA-autoencoder: the encoder is a principal component analysis, only the decoder is learned.

Minimises :math:`\sum_i (\hat x_i - x_i)^2` over the decoder. The codes are those of the best linear autoencoder (Baldi & Hornik 1989); what
a network makes of them beyond a linear map is the decoder's alone. Three components keep 23 % of MNIST's variance, and where
they cannot tell digits apart the best decoder blends them.
"""

from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.losses import PIXELS, squared_error
from lit_models.nn.autoencoder import Decoder
from lit_models.nn.pca import PCAEncoder
from lit_models.sampling.densities import DensityName
from lit_models.sampling.training_codes import SampleCodes, TrainingCodes
from lit_models.training.fit_before_training import images_to_fit
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam


class PCAAE(SampleCodes, LightningModule):
    """`latent_dim` principal components, divided by their standard deviations with `whiten`.

    `latent_density` is where `sample` takes codes from unasked. The learning rate falls from `lr` to a fiftieth of it in `lr_steps` steps.
    """

    def __init__(
        self,
        latent_dim: int = 3,
        whiten: bool = False,
        latent_density: DensityName = "gaussian",
        channels: int = 32,
        blocks: int = 1,
        lr: float = 2e-3,
        lr_steps: int = 5000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.latent_dim, self.latent_density, self.lr, self.lr_steps = latent_dim, latent_density, lr, lr_steps
        self.encoder = PCAEncoder(latent_dim, whiten)
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
        loss = squared_error(self.reconstruct(images), images).mean()
        log_terms(self, stage, {"loss": loss, "mse": loss / PIXELS}, len(images))
        return loss

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps)

    def encode(self, images: Tensor) -> Tensor:
        """Principal components, (B, latent_dim)."""
        return self.encoder(images)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))
