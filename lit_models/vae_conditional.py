r"""Conditional variational autoencoder: encoder and decoder are told the label y of an image x.

Minimises :math:`E_{q(z|x,y)}[-\log p(x|z,y)] + \beta\, KL(q(z|x,y) \,\|\, N(0, I))`, summed over pixels and code. With beta 1 this is an
upper bound of :math:`-\log p(x|y)`, in nats per image where p(x|z,y) is a likelihood. The label need not be stored in z, so z holds what
varies within a class, and an image of any class can be asked for.

Reference: Sohn, Lee & Yan, Learning Structured Output Representation using Deep Conditional Generative Models, 2015, equation 4, with the
prior N(0, I) for all labels; Kingma et al., Semi-supervised Learning with Deep Generative Models, 2014, equation 6 (M2 with labels known).
https://arxiv.org/abs/1406.5298
"""

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor, nn
from torch.nn.functional import one_hot

from lit_models.contracts import ImageShape
from lit_models.losses import bernoulli_loss, gaussian_kl, gaussian_nll, is_binary, squared_error
from lit_models.nn.autoencoder import Decoder, Encoder
from lit_models.nn.blocks import MNIST
from lit_models.sampling.labels import labels_for, needed
from lit_models.sampling.temperature import checked_temperature
from lit_models.training.batches import labelled_images_of
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam, training_steps


class ConditionalVAE(LightningModule):
    """The encoder gets the label as a learned image that is added to x, the decoder as a one-hot vector next to z. `forward` is `decode`.

    Args:
        latent_dim: Width D of z.
        beta: Weight of the KL.
        likelihood: Distribution of the pixels given code and label; the Gaussian has one learned variance.
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training).
        image_shape, classes: Of the data.
    """

    def __init__(
        self,
        latent_dim: int = 16,
        beta: float = 1.0,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        channels: int = 32,
        blocks: int = 1,
        lr: float = 4e-3,
        lr_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape, self.classes = image_shape, needed(classes, "ConditionalVAE")
        self.latent_dim, self.beta, self.likelihood, self.lr, self.lr_steps = latent_dim, beta, likelihood, lr, lr_steps
        self.label_image = nn.Embedding(classes, math.prod(image_shape))
        nn.init.zeros_(self.label_image.weight)
        self.encoder = Encoder(2 * latent_dim, channels, blocks, image_shape=image_shape)
        self.decoder = Decoder(latent_dim + classes, channels, blocks, image_shape=image_shape)
        if likelihood == "gaussian":
            self.log_var = nn.Parameter(torch.zeros(()))  # of the pixels, log sigma^2

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def _step(self, batch: Any, stage: str) -> Tensor:
        images, labels = labelled_images_of(self, batch, self.classes)
        mean, log_var = self.encoder(images + self.label_image(labels.long()).view_as(images)).chunk(2, dim=1)  # of q(z|x,y)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        reconstruction = self._pixel_loss(self.decoder(self._codes(z, labels)), images).mean()
        kl = gaussian_kl(mean, log_var).mean()
        loss = reconstruction + self.beta * kl
        terms = {"loss": loss, "reconstruction": reconstruction, "kl": kl}
        if stage != "train":
            terms["mse"] = squared_error(self.decode(self._codes(mean, labels)), images).mean() / images[0].numel()
            if self.likelihood == "gaussian" or is_binary(images):
                terms["nelbo"] = reconstruction + kl  # nats per image, an upper bound of -log p(x|y)
        log_terms(self, stage, terms, len(images))
        return loss

    def _pixel_loss(self, logits: Tensor, images: Tensor) -> Tensor:
        if self.likelihood == "gaussian":
            return gaussian_nll(logits.sigmoid(), images, self.log_var)
        return bernoulli_loss(logits, images)

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps or training_steps(self))

    # -- verbs: images cannot be encoded without their labels, so there are no `encode` and `reconstruct`

    def _codes(self, z: Tensor, labels: Tensor) -> Tensor:
        return torch.cat([z, one_hot(labels.long(), self.classes).to(z)], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes, (B, latent_dim + classes): z, then the one-hot label."""
        return self.decoder(codes).sigmoid()

    def forward(self, codes: Tensor) -> Tensor:
        return self.decode(codes)

    @torch.no_grad()
    def sample(
        self, n: int = 1, labels: Tensor | int | None = None, generator: Generator | None = None, *, temperature: float | None = None
    ) -> Tensor:
        """Decodes z drawn from the prior, with standard deviation `temperature`, 1 by default, and the labels asked for.

        Without labels all classes are equally likely.
        """
        asked = labels_for(n, labels, self.classes)
        if asked is None:
            asked = torch.randint(self.classes, (n,), generator=generator)
        z = checked_temperature(temperature) * torch.randn(n, self.latent_dim, generator=generator)
        return self.decode(self._codes(z.to(self.device, self.dtype), asked.to(self.device)))
