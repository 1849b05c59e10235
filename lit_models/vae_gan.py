r"""VAE/GAN: an autoencoder whose images a discriminator judges, and whose error is measured in what the discriminator sees.

With :math:`f` the discriminator's features, :math:`\tilde x` the reconstruction and :math:`\hat x` the decode of :math:`z \sim N(0, I)`,
the encoder minimises :math:`w\, L + KL(q(z|x) \,\|\, N(0, I))`, the decoder :math:`v\, L` plus the generator's side of the game on
:math:`\tilde x` and :math:`\hat x`, the discriminator its side, where

.. math:: L = \sum (f(\tilde x) - f(x))^2 \,/\, \sum (f(x) - \overline{f(x)})^2

is the share of the features' variance that the reconstruction misses: 0 is perfect, 1 no better than the mean, whatever the scale
at which the discriminator happens to see.

Reference: Larsen et al., Autoencoding beyond pixels using a learned similarity metric, 2016, algorithm 1,
https://arxiv.org/abs/1512.09300. There L is a Gaussian likelihood with unit variance, and features pass a batch normalisation.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.losses import PIXELS, Adversary, gaussian_kl, generator_loss, squared_error
from lit_models.nn.adversarial import Discriminator, Generator
from lit_models.nn.autoencoder import Encoder
from lit_models.sampling.densities import DensityName
from lit_models.sampling.training_codes import SampleCodes, TrainingCodes
from lit_models.training.adversarial import averaged, check_precision, discriminator_turn, gradients_for, judge
from lit_models.training.distributed import over_processes
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam


class VAEGAN(SampleCodes, LightningModule):
    """Verbs use the moving averages of encoder and decoder.

    Args:
        likeness: w, the weight of L for the encoder, in nats.
        decoder_likeness: v, its weight for the decoder beside the game.
        latent_density: Where `sample` takes codes from unasked.
        loss, gamma, penalty_every, decay, lr, lr_steps: As in `lit_models.gan.GAN`.
    """

    def __init__(
        self,
        latent_dim: int = 16,
        likeness: float = 100.0,
        decoder_likeness: float = 5.0,
        latent_density: DensityName = "normal",
        loss: Adversary = "relativistic",
        gamma: float = 0.1,
        penalty_every: int = 4,
        decay: float = 0.998,
        encoder_channels: int = 32,
        generator_channels: int = 48,
        discriminator_channels: int = 48,
        lr: float = 1e-3,
        lr_steps: int = 3000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.latent_dim, self.latent_density, self.likeness, self.decoder_likeness = latent_dim, latent_density, likeness, decoder_likeness
        self.loss, self.gamma, self.penalty_every, self.lr, self.lr_steps = loss, gamma, penalty_every, lr, lr_steps
        self.encoder = Encoder(2 * latent_dim, encoder_channels)
        self.decoder = Generator(latent_dim, generator_channels)
        self.discriminator = Discriminator(channels=discriminator_channels)
        self.averaged_encoder, self.averaged_decoder = averaged(self.encoder, decay), averaged(self.decoder, decay)
        self.training_codes = TrainingCodes()

    # -- objective

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        images, labels = batch
        mean, log_var = self.encoder(images).chunk(2, dim=1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        fakes = self.decoder(torch.cat([z, torch.randn_like(mean)]))  # reconstructions, then draws
        discriminator_turn(self, images, fakes, labels)
        self._autoencoder_turn(images, fakes, gaussian_kl(mean, log_var).mean())
        for schedule in self.lr_schedulers():
            schedule.step()

    def _autoencoder_turn(self, images: Tensor, fakes: Tensor, kl: Tensor) -> None:
        with torch.no_grad():
            real_features = self.discriminator.features(images)
            real = self.discriminator.judge(real_features)
        fake_features = self.discriminator.features(fakes)
        likeness = missed(fake_features[: len(images)], real_features)
        game = generator_loss(real.repeat(2), self.discriminator.judge(fake_features), self.loss).mean()
        gradients_for(self.encoder, self.likeness * likeness + kl, self.trainer, again=True)
        gradients_for(self.decoder, self.decoder_likeness * likeness + game, self.trainer)
        self.optimizers()[0].step()
        self.averaged_encoder.update_parameters(self.encoder)
        self.averaged_decoder.update_parameters(self.decoder)
        log_terms(self, "train", {"generator_loss": game.detach(), "missed": likeness.detach(), "kl": kl.detach()}, len(images))

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: list[Tensor], stage: str) -> None:
        images, labels = batch
        mean, log_var = self.posterior(images)
        reconstructions, draws = self.decode(mean), self.decode(torch.randn_like(mean))
        _, parts = judge(self.discriminator, images, draws, labels, self.loss)
        parts["missed"] = missed(self.discriminator.features(reconstructions), self.discriminator.features(images))
        parts["kl"], parts["mse"] = gaussian_kl(mean, log_var).mean(), squared_error(reconstructions, images).mean() / PIXELS
        log_terms(self, stage, parts, len(images))

    def configure_optimizers(self) -> Any:
        check_precision(self.trainer)
        players = ([*self.encoder.parameters(), *self.decoder.parameters()], self.discriminator.parameters())
        return tuple(adam(player, self.lr, self.lr_steps, betas=(0.0, 0.99)) for player in players)

    # -- verbs

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), (B, latent_dim) each."""
        mean, log_var = self.averaged_encoder(images).chunk(2, dim=1)
        return mean, log_var

    def encode(self, images: Tensor) -> Tensor:
        """Means of the codes, (B, latent_dim)."""
        return self.posterior(images)[0]

    def decode(self, codes: Tensor) -> Tensor:
        return self.averaged_decoder(codes).clamp(0, 1)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


def missed(features: Tensor, real: Tensor) -> Tensor:
    """Share of the variance of real features over the batch that the others miss, a scalar; the batch is that of all processes."""
    n, sums = torch.tensor(float(len(real)), device=real.device), real.sum(dim=0)
    images = over_processes(n.clone())
    squares = over_processes((real - over_processes(sums) / images).square().sum())
    return (features - real).square().sum() / (squares * n / images).clamp_min(1e-8)
