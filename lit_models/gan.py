r"""Generative adversarial network: a generator learns from a discriminator, which learns to tell generated images from real ones.

In each step first the discriminator, then the generator minimises its side of `losses.discriminator_loss` and `losses.generator_loss`. The
discriminator's side also has the penalty :math:`\tfrac\gamma2 (\|\nabla D(x)\|^2 + \|\nabla D(\hat x)\|^2)`. Samples come from the moving
average of the generator's weights.

Reference: Goodfellow et al., Generative Adversarial Nets, 2014, https://arxiv.org/abs/1406.2661. The default is a small version of
Huang et al., The GAN is dead; long live the GAN!, 2024, https://arxiv.org/abs/2501.05441.
"""

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor

from lit_models.contracts import ImageShape
from lit_models.losses import Adversary, check_adversary, generator_loss
from lit_models.nn.adversarial import Discriminator
from lit_models.nn.adversarial import Generator as GeneratorNetwork
from lit_models.nn.blocks import MNIST
from lit_models.nn.clusters import Clusters
from lit_models.sampling.anchors import Layout, class_anchors
from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature
from lit_models.training.adversarial import (
    check_precision,
    discriminator_terms,
    discriminator_turn,
    set_gradients,
    step_schedules,
)
from lit_models.training.averages import averaged
from lit_models.training.batches import images_of, known, labelled_images_of
from lit_models.training.fit_before_training import images_to_fit
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam, training_steps


class GAN(LightningModule):
    """A code of `latent_dim` standard normal numbers z becomes an image. `forward` is `decode`.

    Args:
        conditioning: `none` is the game without labels. `clusters` tells both networks in which of `clusters` k-means clusters of the
            training images an image lies (Sage et al. 2018, https://arxiv.org/abs/1712.04407): the generator gets the cluster's corner of
            a simplex next to z, and the discriminator compares image and cluster. No label is used or accepted. `projection` tells both
            networks the class, and in which of the `clusters` clusters of this class the image lies (1 for the class alone). `noise` draws
            z around the class's anchor and tells the discriminator nothing, so that only chance can tie a class to its anchor.
        layout: Layout of the anchors, for `noise` (`lit_models.sampling.anchors`).
        spread: Standard deviation of z about its anchor, for `noise`.
        temperature: Default standard deviation of z when samples are drawn; it is 1 in training. Below 1 fewer samples are malformed, and
            they vary less (Brock et al., Large Scale GAN Training, 2019, section 3.1, https://arxiv.org/abs/1809.11096).
        loss: The adversarial loss. The relativistic one compares a real image with a generated image of the same label.
        gamma: Weight of R1 and R2. They are computed every `penalty_every` steps, scaled by `penalty_every` to compensate.
        decay: Decay of the moving average of the generator's weights.
        lr: Learning rate of both networks. It falls to a fiftieth in `lr_steps` steps (null: the length of the training).
        image_shape, classes: Of the data; only `projection` and `noise` use labels, and classes is None for images without labels.
    """

    def __init__(
        self,
        latent_dim: int = 64,
        conditioning: Literal["none", "clusters", "projection", "noise"] = "clusters",
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
        lr_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape = image_shape
        if conditioning not in (known := ("none", "clusters", "projection", "noise")):
            raise ValueError(f"conditioning must be one of {', '.join(known)}, got {conditioning!r}")
        check_adversary(loss)
        if classes is None and conditioning in ("projection", "noise"):
            raise ValueError(f"conditioning {conditioning} expected labelled images, got classes None: take clusters or none")
        checked_temperature(temperature)
        self.automatic_optimization = False
        self.latent_dim, self.conditioning, self.spread, self.temperature, self.loss = latent_dim, conditioning, spread, temperature, loss
        self.gamma, self.penalty_every, self.lr, self.lr_steps = gamma, penalty_every, lr, lr_steps
        self.classes = classes if conditioning in ("projection", "noise") else None
        clustered_classes = {"clusters": 1, "projection": classes or 0}.get(conditioning, 0)
        conditions = clustered_classes * clusters  # the number of different labels that both networks are told
        self.clusters = Clusters(clusters, clustered_classes, image_shape) if conditions else None
        self.generator = GeneratorNetwork(latent_dim + conditions, generator_channels, image_shape=image_shape)
        self.discriminator = Discriminator(conditions or None, discriminator_channels, image_shape=image_shape)
        self.averaged_generator = averaged(self.generator, decay)
        told = torch.zeros(0)  # the part of a code that a label or a cluster decides
        if conditions:
            told = math.sqrt(latent_dim / 2) * torch.eye(conditions)
        elif conditioning == "noise" and classes is not None:
            told = class_anchors(layout, latent_dim, classes)
        self.register_buffer("condition_codes", told, persistent=False)

    def setup(self, stage: str) -> None:
        found = images_to_fit(self.clusters, self.trainer) if stage == "fit" and self.clusters else None
        if self.clusters and found is not None:
            images, labels = found
            labels = labels if self.classes is None else known(self, labels)
            self.clusters.fit(images, self._clustered_class(labels, len(images)))

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> None:
        images, conditions = self._with_conditions(batch)
        noise = torch.randn(len(images), self.latent_dim, device=self.device)
        fakes = self.generator(self._codes(noise, conditions))
        discriminator_turn(self, images, fakes, conditions)
        self._generator_turn(images, fakes, conditions)
        step_schedules(self)

    def _with_conditions(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Images, and what both networks are told about each: its label, its cluster, or nothing."""
        images, labels = images_of(self, batch) if self.classes is None else labelled_images_of(self, batch, self.classes)
        return images, self.clusters(images, self._clustered_class(labels, len(images))) if self.clusters else labels

    def _clustered_class(self, labels: Tensor | None, n: int) -> Tensor:
        """The class within which each image is assigned to a cluster: its own, or 0 if all images are clustered together."""
        if self.conditioning == "projection" and labels is not None:
            return labels
        return torch.zeros(n, dtype=torch.long, device=labels.device if labels is not None else self.device)

    def _generator_turn(self, images: Tensor, fakes: Tensor, conditions: Tensor | None) -> None:
        with torch.no_grad():
            real = self.discriminator(images, conditions)
        loss = generator_loss(real, self.discriminator(fakes, conditions), self.loss).mean()
        set_gradients(self.generator, loss, self.trainer)
        self.optimizers()[0].step()
        self.averaged_generator.update_parameters(self.generator)
        log_terms(self, "train", {"generator_loss": loss.detach()}, len(images))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Any, stage: str) -> None:
        images, conditions = self._with_conditions(batch)
        fakes = self.decode(self._codes(torch.randn(len(images), self.latent_dim, device=self.device), conditions))
        _, terms = discriminator_terms(self.discriminator, images, fakes, conditions, self.loss)
        log_terms(self, stage, terms, len(images))

    def configure_optimizers(self) -> Any:
        check_precision(self.trainer)
        steps, networks = self.lr_steps or training_steps(self), (self.generator, self.discriminator)
        return tuple(adam(network.parameters(), self.lr, steps, betas=(0.0, 0.99)) for network in networks)

    # -- verbs

    def _codes(self, noise: Tensor, conditions: Tensor | None) -> Tensor:
        if self.conditioning == "none":
            return noise
        told = self.condition_codes[conditions]
        return told + self.spread * noise if self.conditioning == "noise" else torch.cat([noise, told], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes z, (B, latent_dim); for `projection` and `clusters` the label's corner of a simplex follows z."""
        return self.averaged_generator(codes).clamp(0, 1)

    @property
    def noise_shape(self) -> tuple[int]:
        """With a condition, noise alone decides nothing."""
        if self.conditioning != "none":
            raise AttributeError(f"a GAN with the condition {self.conditioning} does not start from noise alone")
        return (self.latent_dim,)

    def from_noise(self, noise: Tensor) -> Tensor:
        return self.decode(noise)

    def forward(self, codes: Tensor) -> Tensor:
        return self.decode(codes)

    @torch.no_grad()
    def sample(
        self, n: int = 1, labels: Tensor | int | None = None, generator: Generator | None = None, *, temperature: float | None = None
    ) -> Tensor:
        """Decodes random codes, at the model's own temperature by default.

        Without labels all classes are equally likely, and clusters are as likely as in the training images.
        """
        temperature = checked_temperature(temperature, default=self.temperature)
        asked = labels_for(n, labels, self.classes)
        if asked is None:  # a draw that nothing depends on without classes, kept so that a seed gives the same images as ever
            asked = torch.randint(self.classes or 10, (n,), generator=generator)
        if self.clusters:
            asked = self.clusters.draw(self._clustered_class(asked, n), generator)
        noise = temperature * torch.randn(n, self.latent_dim, generator=generator).to(self.device, self.dtype)
        return self.decode(self._codes(noise, asked.to(self.device)))
