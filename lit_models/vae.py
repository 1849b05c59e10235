r"""Variational autoencoder: Gaussian code, Bernoulli or Gaussian pixels.

Minimises :math:`E_{q(z|x)}[-\log p(x|z)] + \beta\, KL(q(z|x) \,\|\, N(0, I))`, summed over pixels and code. With beta 1 this is the
negative evidence lower bound, in nats per image where p(x|z) is a likelihood: Bernoulli on binarised images, or Gaussian.

Reference: Kingma & Welling, Auto-Encoding Variational Bayes, 2014. https://arxiv.org/abs/1312.6114
Gaussian pixels with one learned variance: Rybkin et al., 2021. https://arxiv.org/abs/2006.13202
KL warm-up: Bowman et al., 2016, section 3.1. https://arxiv.org/abs/1511.06349
"""

import math
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Generator, Tensor, nn

from lit_models.contracts import ImageShape
from lit_models.losses import bernoulli_loss, gaussian_kl, gaussian_nll, is_binary, squared_error
from lit_models.nn.autoencoder import Decoder, Encoder
from lit_models.nn.blocks import MNIST
from lit_models.nn.latent_prior import latent_prior
from lit_models.sampling.keep_training_codes import KeepTrainingCodes
from lit_models.sampling.latent_sampling import LatentSampling, SamplerName, samplers_for
from lit_models.sampling.training_codes import TrainingCodes
from lit_models.training.batches import images_of
from lit_models.training.logging import log_terms
from lit_models.training.prior_phase import adam_in_phases, idle, images_and_labels, own_parameters, prior_step, trains_prior, with_prior


class VAE(LatentSampling, LightningModule):
    """`forward` is `reconstruct`.

    Args:
        latent_dim: Width D of the code.
        beta: Weight of the KL. It grows from 0 to `beta` in `kl_warmup_steps` steps. `beta` 0 shows what the reconstruction does alone:
            clusters without order.
        reconstruction_weight: 0 shows what the KL does alone: a Gaussian without images.
        likelihood: Distribution of the pixels given the code; the Gaussian has one learned variance.
        sampler: What `sample` draws codes from by default: a density that is fitted to codes of training images, of which `normal` is the
            prior, or `flow`, `shortcut` or `coupling`, a prior that the run trains in a second phase (`lit_models.training.prior_phase`).
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training, or 0.4 of it before a prior).
        prior_lr: Learning rate of the prior. It falls to a fiftieth in `prior_steps` steps (null: the rest of the training).
        image_shape, classes: Of the data; classes is None for images without labels, and then samplers that are named for the class go.
    """

    def __init__(
        self,
        latent_dim: int = 16,
        beta: float = 1.0,
        reconstruction_weight: float = 1.0,
        kl_warmup_steps: int = 0,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
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
        self.latent_dim, self.beta, self.kl_warmup_steps = latent_dim, beta, kl_warmup_steps
        self.reconstruction_weight, self.likelihood = reconstruction_weight, likelihood
        self.lr, self.lr_steps, self.prior_lr, self.prior_steps = lr, lr_steps, prior_lr, prior_steps
        self.encoder = Encoder(2 * latent_dim, channels, blocks, image_shape=image_shape)
        self.decoder = Decoder(latent_dim, channels, blocks, image_shape=image_shape)
        if likelihood == "gaussian":
            self.log_var = nn.Parameter(torch.zeros(()))  # of the pixels, log sigma^2
        self.training_codes = TrainingCodes()
        self.prior = latent_prior(sampler, latent_dim, classes)

    def configure_callbacks(self) -> list[Callback]:
        return [KeepTrainingCodes()]

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
        reconstruction = self._pixel_loss(self.decoder(z), images).mean()
        kl = gaussian_kl(mean, log_var).mean()
        warmup = min(1.0, (self.global_step + 1) / self.kl_warmup_steps) if self.kl_warmup_steps and stage == "train" else 1.0
        loss = self.reconstruction_weight * reconstruction + self.beta * warmup * kl
        terms = {"loss": loss, "reconstruction": reconstruction, "kl": kl}
        if stage != "train":
            terms["mse"] = squared_error(self.reconstruct(images), images).mean() / images[0].numel()
            if self.likelihood == "gaussian" or is_binary(images):
                terms["nelbo"] = reconstruction + kl  # nats per image, an upper bound of -log p(x)
        log_terms(self, stage, terms if stage == "train" else with_prior(self, batch, terms), len(images))
        return loss

    def _pixel_loss(self, logits: Tensor, images: Tensor) -> Tensor:
        if self.likelihood == "gaussian":
            return gaussian_nll(logits.sigmoid(), images, self.log_var)
        return bernoulli_loss(logits, images)

    def log_weights(self, images: Tensor, draws: int, generator: Generator | None = None, sampler: SamplerName | None = None) -> Tensor:
        r""":math:`\log p(x|z) + \log p(z) - \log q(z|x)` of `draws` codes from q(z|x) per image, (B, draws), in nats.

        Args:
            sampler: p(z) is N(0, I) by default, or the learned density of a model with the sampler `coupling`. It may be the distribution
                of any other sampler.
        Raises:
            ValueError: For grey images under Bernoulli pixels.
        """
        if self.likelihood == "bernoulli" and not is_binary(images):
            raise ValueError("a likelihood under Bernoulli pixels expected images of 0 and 1, got grey ones: train with --config binarized")
        mean, log_var = (part.repeat_interleave(draws, dim=0) for part in self.posterior(images))
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        z = mean + (0.5 * log_var).exp() * noise
        sampler = sampler or ("coupling" if self.default_sampler == "coupling" else "normal")
        if sampler == "normal":
            log_ratio = 0.5 * (noise.square() + log_var - z.square()).sum(dim=1)  # of p(z) to q(z|x)
        else:
            posterior = -0.5 * (noise.square() + log_var + math.log(2 * math.pi)).sum(dim=1)
            log_ratio = self.distribution(sampler).log_density(z).to(z) - posterior
        return (log_ratio - self._pixel_loss(self.decoder(z), images.repeat_interleave(draws, dim=0))).view(len(images), draws)

    def configure_optimizers(self) -> Any:
        return adam_in_phases(self, own_parameters(self), self.lr_steps)

    # -- verbs

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), (B, latent_dim) each."""
        mean, log_var = self.encoder(images).chunk(2, dim=1)
        return mean, log_var

    def encode(self, images: Tensor) -> Tensor:
        """Means of q(z|x), (B, latent_dim)."""
        return self.posterior(images)[0]

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).sigmoid()

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
