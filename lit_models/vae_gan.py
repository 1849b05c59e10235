r"""VAE/GAN: an autoencoder whose images a discriminator judges, and whose error is measured in the discriminator's features.

With :math:`f` the discriminator's features, :math:`\tilde x` the reconstruction and :math:`\hat x` the decode of :math:`z \sim N(0, I)`,
the encoder minimises :math:`w\, L + KL(q(z|x) \,\|\, N(0, I))`, the decoder :math:`v\, L` plus the generator's loss on :math:`\tilde x` and
:math:`\hat x`, and the discriminator its own loss, where

.. math:: L = \sum (f(\tilde x) - f(x))^2 \,/\, \sum (f(x) - \overline{f(x)})^2

is the share of the features' variance that the reconstruction misses: 0 is perfect, and 1 is no better than the mean, on whatever scale the
features happen to be.

Reference: Larsen et al., Autoencoding beyond pixels using a learned similarity metric, 2016, algorithm 1,
https://arxiv.org/abs/1512.09300. There L is a Gaussian likelihood with unit variance, and features pass a batch normalisation.
"""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor

from lit_models.contracts import ImageShape
from lit_models.losses import Adversary, check_adversary, gaussian_kl, generator_loss, squared_error
from lit_models.nn.adversarial import Discriminator
from lit_models.nn.adversarial import Generator as GeneratorNetwork
from lit_models.nn.autoencoder import Encoder
from lit_models.nn.blocks import MNIST
from lit_models.nn.latent_prior import latent_prior
from lit_models.sampling.keep_training_codes import KeepTrainingCodes
from lit_models.sampling.latent_sampling import LatentSampling, SamplerName, samplers_for
from lit_models.sampling.training_codes import TrainingCodes
from lit_models.training.adversarial import (
    check_precision,
    discriminator_terms,
    discriminator_turn,
    set_gradients,
    step_schedules,
)
from lit_models.training.averages import averaged
from lit_models.training.batches import images_of
from lit_models.training.distributed import reduce_over_processes
from lit_models.training.logging import log_terms
from lit_models.training.prior_phase import adam_in_phases, images_and_labels, lengths_of_phases, prior_step, trains_prior, with_prior
from lit_models.training.schedules import adam, training_steps


class VAEGAN(LatentSampling, LightningModule):
    """The verbs use the moving averages of encoder and decoder. `forward` is `reconstruct`.

    Args:
        likeness: w, the weight of L for the encoder, in nats.
        decoder_likeness: v, the weight of L for the decoder, in addition to the generator's loss.
        sampler: What `sample` draws codes from by default: a density that is fitted to codes of training images, or `flow`,
            `shortcut` or `coupling`, a prior that the run trains in a second phase (`lit_models.training.prior_phase`).
        loss, gamma, penalty_every, decay, lr, lr_steps: As in `lit_models.gan.GAN`; before a prior `lr_steps` is 0.4 of the training.
        prior_lr: Learning rate of the prior. It falls to a fiftieth in `prior_steps` steps (null: the rest of the training).
        image_shape, classes: Of the data; classes is None for images without labels, and then samplers that are named for the class go.
    """

    def __init__(
        self,
        latent_dim: int = 16,
        likeness: float = 100.0,
        decoder_likeness: float = 5.0,
        sampler: SamplerName = "gmm",
        loss: Adversary = "relativistic",
        gamma: float = 0.1,
        penalty_every: int = 4,
        decay: float = 0.998,
        encoder_channels: int = 32,
        generator_channels: int = 48,
        discriminator_channels: int = 48,
        lr: float = 1e-3,
        lr_steps: int | None = None,
        prior_lr: float = 2e-3,
        prior_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape, self.samplers, self.default_sampler = image_shape, samplers_for(sampler, classes), sampler
        check_adversary(loss)
        self.automatic_optimization = False
        self.latent_dim, self.likeness, self.decoder_likeness = latent_dim, likeness, decoder_likeness
        self.loss, self.gamma, self.penalty_every = loss, gamma, penalty_every
        self.lr, self.lr_steps, self.prior_lr, self.prior_steps = lr, lr_steps, prior_lr, prior_steps
        self.encoder = Encoder(2 * latent_dim, encoder_channels, image_shape=image_shape)
        self.decoder = GeneratorNetwork(latent_dim, generator_channels, image_shape=image_shape)
        self.discriminator = Discriminator(channels=discriminator_channels, image_shape=image_shape)
        self.averaged_encoder, self.averaged_decoder = averaged(self.encoder, decay), averaged(self.decoder, decay)
        self.training_codes = TrainingCodes()
        self.prior = latent_prior(sampler, latent_dim, classes)

    def configure_callbacks(self) -> list[Callback]:
        return [KeepTrainingCodes()]

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> None:
        if trains_prior(self):
            return self._prior_turn(batch)
        images, _ = images_and_labels(self, batch)
        mean, log_var = self.encoder(images).chunk(2, dim=1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        fakes = self.decoder(torch.cat([z, torch.randn_like(mean)]))  # reconstructions, then draws
        discriminator_turn(self, images, fakes, None)
        self._autoencoder_turn(images, fakes, gaussian_kl(mean, log_var).mean())
        step_schedules(self)

    def _autoencoder_turn(self, images: Tensor, fakes: Tensor, kl: Tensor) -> None:
        with torch.no_grad():
            real_features = self.discriminator.features(images)
            real = self.discriminator.scores(real_features)
        fake_features = self.discriminator.features(fakes)
        missed = missed_variance(fake_features[: len(images)], real_features)
        adversarial = generator_loss(real.repeat(2), self.discriminator.scores(fake_features), self.loss).mean()
        set_gradients(self.encoder, self.likeness * missed + kl, self.trainer, keep_graph=True)
        set_gradients(self.decoder, self.decoder_likeness * missed + adversarial, self.trainer)
        self.optimizers()[0].step()
        self.averaged_encoder.update_parameters(self.encoder)
        self.averaged_decoder.update_parameters(self.decoder)
        log_terms(self, "train", {"generator_loss": adversarial.detach(), "missed": missed.detach(), "kl": kl.detach()}, len(images))

    def _prior_turn(self, batch: Any) -> None:
        set_gradients(self.prior.network, prior_step(self, batch), self.trainer)
        self.optimizers()[0].step()
        step_schedules(self)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Any, stage: str) -> None:
        images, _ = images_of(self, batch)
        mean, log_var = self.posterior(images)
        reconstructions, draws = self.decode(mean), self.decode(torch.randn_like(mean))
        _, terms = discriminator_terms(self.discriminator, images, draws, None, self.loss)
        terms["missed"] = missed_variance(self.discriminator.features(reconstructions), self.discriminator.features(images))
        terms["kl"], terms["mse"] = gaussian_kl(mean, log_var).mean(), squared_error(reconstructions, images).mean() / images[0].numel()
        log_terms(self, stage, with_prior(self, batch, terms), len(images))

    def configure_optimizers(self) -> Any:
        check_precision(self.trainer)
        autoencoder, betas = [*self.encoder.parameters(), *self.decoder.parameters()], (0.0, 0.99)
        steps = self.lr_steps or (training_steps(self) if self.prior is None else lengths_of_phases(self, None)[0])
        return adam_in_phases(self, autoencoder, steps, betas), adam(self.discriminator.parameters(), self.lr, steps, betas)

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

    @property
    def noise_shape(self) -> tuple[int]:
        return (self.latent_dim,)

    def from_noise(self, noise: Tensor) -> Tensor:
        return self.decode(noise)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.reconstruct(images)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.encode(images_of(self, batch)[0])


def missed_variance(features: Tensor, real: Tensor) -> Tensor:
    """Share of the variance of real features that the others miss, a scalar; the variance is that of the batch of all processes."""
    n, sums = torch.tensor(float(len(real)), device=real.device), real.sum(dim=0)
    images = reduce_over_processes(n.clone())
    squares = reduce_over_processes((real - reduce_over_processes(sums) / images).square().sum())
    return (features - real).square().sum() / (squares * n / images).clamp_min(1e-8)
