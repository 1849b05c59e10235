r"""Generative adversarial network: a generator learns from a discriminator that learns to tell its images from real ones.

In each step first the discriminator, then the generator minimises its side of `losses.discriminator_loss` and
`losses.generator_loss`; the discriminator also pays :math:`\tfrac\gamma2 (\|\nabla D(x)\|^2 + \|\nabla D(\hat x)\|^2)`. Samples come from
the moving average of the generator's weights.

Reference: Goodfellow et al., Generative Adversarial Nets, 2014, https://arxiv.org/abs/1406.2661; the default is the small
sibling of Huang et al., The GAN is dead; long live the GAN!, 2024, https://arxiv.org/abs/2501.05441.
"""

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.losses import Adversary, generator_loss
from lit_models.nn.adversarial import Discriminator, Generator
from lit_models.nn.clusters import Clusters
from lit_models.sampling.anchors import Layout, class_anchors
from lit_models.sampling.labels import check_labels
from lit_models.training.adversarial import averaged, check_precision, discriminator_turn, gradients_for, judge
from lit_models.training.fit_before_training import images_to_fit
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam


class GAN(LightningModule):
    """A code of `latent_dim` standard normal numbers z becomes an image.

    Args:
        conditioning: `none` is the plain game. `clusters` tells both players in which of `clusters` k-means clusters of the training
            images an image lies (Sage et al. 2018, https://arxiv.org/abs/1712.04407): the cluster's corner of a simplex is beside z, and
            the discriminator compares image and cluster; no label is used or accepted. `projection` tells them the digit, and in
            which of its `clusters` clusters (1 for the digit alone). `noise` draws z around the class's anchor and tells the
            discriminator nothing, so that nothing but chance can tie a digit to its anchor.
        layout: Of the anchors, for `noise` (`lit_models.sampling.anchors`).
        spread: Standard deviation of z about its anchor, for `noise`.
        temperature: Standard deviation of z when samples are drawn; in training it is 1. Below 1 fewer samples are malformed and
            they vary less (Brock et al., Large Scale GAN Training, 2019, section 3.1, https://arxiv.org/abs/1809.11096).
        loss: The game; the relativistic one compares a real with a generated image of the same label.
        gamma: Weight of R1 and R2, which are computed every `penalty_every` steps and weigh so much more there.
        decay: Of the average of the generator's weights.
        lr: Of both players; falls to a fiftieth in `lr_steps` steps.
    """

    def __init__(
        self,
        latent_dim: int = 64,
        conditioning: Literal["none", "clusters", "projection", "noise"] = "none",
        clusters: int = 50,
        layout: Layout = "line",
        spread: float = 1.0,
        temperature: float = 0.7,
        loss: Adversary = "relativistic",
        gamma: float = 0.1,
        penalty_every: int = 4,
        decay: float = 0.998,
        generator_channels: int = 48,
        discriminator_channels: int = 48,
        lr: float = 2e-3,
        lr_steps: int = 3000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.latent_dim, self.conditioning, self.spread, self.temperature, self.loss = latent_dim, conditioning, spread, temperature, loss
        self.gamma, self.penalty_every, self.lr, self.lr_steps = gamma, penalty_every, lr, lr_steps
        self.classes = 10 if conditioning in ("projection", "noise") else None
        groups = {"clusters": 1, "projection": 10}.get(conditioning, 0)
        beside = groups * clusters  # labels that both players are told
        self.clusters = Clusters(clusters, groups) if beside else None
        self.generator = Generator(latent_dim + beside, generator_channels)
        self.discriminator = Discriminator(beside or None, discriminator_channels)
        self.averaged_generator = averaged(self.generator, decay)
        places = math.sqrt(latent_dim / 2) * torch.eye(beside) if beside else class_anchors(layout, latent_dim)
        self.register_buffer("places", places, persistent=False)

    def setup(self, stage: str) -> None:
        given = images_to_fit(self.clusters, self.trainer) if stage == "fit" and self.clusters else None
        if self.clusters and given is not None:
            self.clusters.fit(given[0], self._groups(given[1]))

    # -- objective

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        images, labels = self._labelled(batch)
        noise = torch.randn(len(images), self.latent_dim, device=self.device)
        fakes = self.generator(self._codes(noise, labels))
        discriminator_turn(self, images, fakes, labels)
        self._generator_turn(images, fakes, labels)
        for schedule in self.lr_schedulers():
            schedule.step()

    def _labelled(self, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        images, labels = batch
        return images, self.clusters(images, self._groups(labels)) if self.clusters else labels

    def _groups(self, labels: Tensor) -> Tensor:
        """Whose clusters an image has: its digit's, or those of all."""
        return labels if self.conditioning == "projection" else torch.zeros_like(labels)

    def _generator_turn(self, images: Tensor, fakes: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            real = self.discriminator(images, labels)
        loss = generator_loss(real, self.discriminator(fakes, labels), self.loss).mean()
        gradients_for(self.generator, loss, self.trainer)
        self.optimizers()[0].step()
        self.averaged_generator.update_parameters(self.generator)
        log_terms(self, "train", {"generator_loss": loss.detach()}, len(images))

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: list[Tensor], stage: str) -> None:
        images, labels = self._labelled(batch)
        fakes = self.decode(self._codes(torch.randn(len(images), self.latent_dim, device=self.device), labels))
        _, parts = judge(self.discriminator, images, fakes, labels, self.loss)
        log_terms(self, stage, parts, len(images))

    def configure_optimizers(self) -> Any:
        check_precision(self.trainer)
        players = (self.generator, self.discriminator)
        return tuple(adam(player.parameters(), self.lr, self.lr_steps, betas=(0.0, 0.99)) for player in players)

    # -- verbs

    def _codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        if self.conditioning == "none":
            return noise
        places = self.places[labels]
        return places + self.spread * noise if self.conditioning == "noise" else torch.cat([noise, places], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes are z, (B, latent_dim), for `projection` and `clusters` with the label's corner of a simplex beside it."""
        return self.averaged_generator(codes).clamp(0, 1)

    def sample(self, n: int, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Decodes random codes; without labels all classes are drawn alike, and clusters as often as training images have them."""
        check_labels(n, labels, self.classes)
        labels = torch.randint(10, (n,), generator=generator) if labels is None else labels.cpu()
        if self.clusters:
            labels = self.clusters.draw(self._groups(labels), generator)
        noise = self.temperature * torch.randn(n, self.latent_dim, generator=generator).to(self.device, self.dtype)
        return self.decode(self._codes(noise, labels.to(self.device)))
