r"""Generative adversarial network: a generator learns from a discriminator that learns to tell its images from real ones.

In each step first the discriminator, then the generator minimises its side of `losses.discriminator_loss` and
`losses.generator_loss`; the discriminator also pays :math:`\tfrac\gamma2 (\|\nabla D(x)\|^2 + \|\nabla D(\hat x)\|^2)`. Samples come from
the moving average of the generator's weights.

Reference: Goodfellow et al., Generative Adversarial Nets, 2014, https://arxiv.org/abs/1406.2661; the default is the small
sibling of Huang et al., The GAN is dead; long live the GAN!, 2024, https://arxiv.org/abs/2501.05441.
"""

from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.anchors import Layout, class_anchors
from lit_models.labels import check_labels
from lit_models.losses import Adversary, generator_loss
from lit_models.networks import Discriminator, Generator
from lit_models.players import averaged, check_precision, gradients_for, judge
from lit_models.schedules import adam


class GAN(LightningModule):
    """A code of `latent_dim` standard normal numbers z becomes an image.

    Args:
        conditioning: `projection` puts the class's corner of a simplex beside z and lets the discriminator compare image and
            label; `noise` draws z around the class's anchor and tells the discriminator nothing, so that nothing but chance
            can tie a digit to its anchor.
        layout: Of the anchors, for `noise` (`lit_models.anchors`).
        spread: Standard deviation of z about its anchor, for `noise`.
        loss: The game; the relativistic one compares a real with a generated image of the same label.
        gamma: Weight of R1 and R2, which are computed every `penalty_every` steps and weigh so much more there.
        decay: Of the average of the generator's weights.
        lr: Of both players; falls to a fiftieth in `lr_steps` steps.
    """

    def __init__(
        self,
        latent_dim: int = 64,
        conditioning: Literal["none", "projection", "noise"] = "none",
        layout: Layout = "line",
        spread: float = 1.0,
        loss: Adversary = "relativistic",
        gamma: float = 0.05,
        penalty_every: int = 4,
        decay: float = 0.998,
        generator_channels: int = 48,
        discriminator_channels: int = 48,
        lr: float = 1e-3,
        lr_steps: int = 3000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.latent_dim, self.conditioning, self.spread, self.loss = latent_dim, conditioning, spread, loss
        self.gamma, self.penalty_every, self.lr, self.lr_steps = gamma, penalty_every, lr, lr_steps
        self.classes = None if conditioning == "none" else 10
        beside = 10 if conditioning == "projection" else 0
        self.generator = Generator(latent_dim + beside, generator_channels)
        self.discriminator = Discriminator(beside or None, discriminator_channels)
        self.averaged_generator = averaged(self.generator, decay)
        places = class_anchors("simplex", latent_dim)[:, :10] if beside else class_anchors(layout, latent_dim)
        self.register_buffer("places", places, persistent=False)

    # -- objective

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        images, labels = batch
        noise = torch.randn(len(images), self.latent_dim, device=self.device)
        fakes = self.generator(self._codes(noise, labels))
        self._discriminator_turn(images, fakes, labels)
        self._generator_turn(images, fakes, labels)
        for schedule in self.lr_schedulers():
            schedule.step()

    def _discriminator_turn(self, images: Tensor, fakes: Tensor, labels: Tensor) -> None:
        gamma = 0.0 if self.global_step % self.penalty_every else self.gamma * self.penalty_every
        loss, parts = judge(self.discriminator, images, fakes, labels, self.loss, gamma)
        gradients_for(self.discriminator, loss, self.trainer)
        self.optimizers()[1].optimizer.step()  # not through Lightning, which would count it
        self.log_dict({f"train/{name}": value for name, value in parts.items()})

    def _generator_turn(self, images: Tensor, fakes: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            real = self.discriminator(images, labels)
        loss = generator_loss(real, self.discriminator(fakes, labels), self.loss).mean()
        gradients_for(self.generator, loss, self.trainer)
        self.optimizers()[0].step()
        self.averaged_generator.update_parameters(self.generator)
        self.log("train/generator_loss", loss.detach())

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: list[Tensor], stage: str) -> None:
        images, labels = batch
        fakes = self.decode(self._codes(torch.randn(len(images), self.latent_dim, device=self.device), labels))
        _, parts = judge(self.discriminator, images, fakes, labels, self.loss)
        self.log_dict({f"{stage}/{name}": value for name, value in parts.items()}, sync_dist=True, batch_size=len(images))

    def configure_optimizers(self) -> Any:
        check_precision(self.trainer)
        players = (self.generator, self.discriminator)
        return tuple(adam(player.parameters(), self.lr, self.lr_steps, betas=(0.0, 0.99)) for player in players)

    # -- verbs

    def _codes(self, noise: Tensor, labels: Tensor) -> Tensor:
        if self.conditioning == "none":
            return noise
        places = self.places[labels]
        return torch.cat([noise, places], dim=1) if self.conditioning == "projection" else places + self.spread * noise

    def decode(self, codes: Tensor) -> Tensor:
        """Codes are z, with the class's corner beside it for `projection`: (B, latent_dim) or (B, latent_dim + 10)."""
        return self.averaged_generator(codes).clamp(0, 1)

    def sample(self, n: int, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Decodes random codes; classes without labels are drawn alike."""
        check_labels(n, labels, self.classes)
        if labels is None:
            labels = torch.randint(10, (n,), generator=generator)
        noise = torch.randn(n, self.latent_dim, generator=generator).to(self.device)
        return self.decode(self._codes(noise, labels.to(self.device)))
