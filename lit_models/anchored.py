r"""Label-anchored decoder: there is no encoder, and the latent space is laid out by hand.

The code of an image of class d is its anchor plus noise, :math:`z = a_d + \sigma \epsilon`, and the decoder minimises :math:`\sum_i (\hat
x_i - x_i)^2`. With independent noise the best decoder of a class is the class mean, and the noise carries nothing. Matched noise is
assigned within a batch: each image gets the draw of its class whose decode comes nearest to it. It stays standard normal as a whole, and
it comes to carry meaning.

Reference: an idea of the report; the assignment is akin to Li & Malik, Implicit Maximum Likelihood Estimation, 2018,
https://arxiv.org/abs/1809.09087, and to Bojanowski & Joulin, Unsupervised Learning by Predicting Noise, 2017.
"""

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from scipy.optimize import linear_sum_assignment
from torch import Generator, Tensor, nn

from lit_models.contracts import ImageShape
from lit_models.losses import squared_error
from lit_models.nn.autoencoder import Decoder
from lit_models.nn.blocks import MNIST
from lit_models.sampling.anchors import Layout, class_anchors
from lit_models.sampling.labels import labels_for, needed
from lit_models.sampling.temperature import checked_temperature
from lit_models.training.batches import labelled_images_of
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam, training_steps


class AnchoredDecoder(LightningModule):
    """`forward` is `decode`.

    The classes are laid out by hand, so p(d | z) is known. The decoder gets it, and where in its class a code lies, and passes both through
    two layers of `width`: it need not learn where one class ends.

    Args:
        layout: Places of the classes (`lit_models.sampling.anchors`). Neighbouring anchors are sqrt(latent_dim) apart.
        noise: Sigma, the standard deviation of a code about its anchor.
        noise_assignment: `independent`, or `matched` within each class of a batch.
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training).
        image_shape, classes: Of the data.
    """

    def __init__(
        self,
        latent_dim: int = 4,
        layout: Layout = "line",
        noise: float = 0.2,
        noise_assignment: Literal["independent", "matched"] = "independent",
        channels: int = 32,
        blocks: int = 1,
        width: int = 256,
        lr: float = 4e-3,
        lr_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape, self.classes = image_shape, needed(classes, "AnchoredDecoder")
        if noise <= 0:
            raise ValueError(f"noise must be above 0, got {noise}")
        self.noise, self.noise_assignment, self.lr, self.lr_steps = noise, noise_assignment, lr, lr_steps
        self.register_buffer("class_anchors", class_anchors(layout, latent_dim, classes), persistent=False)
        self.decoder = nn.Sequential(
            nn.Linear(classes + latent_dim, width), nn.SiLU(), Decoder(width, channels, blocks, width, image_shape)
        )

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def _step(self, batch: Any, stage: str) -> Tensor:
        images, labels = labelled_images_of(self, batch, self.classes)
        codes = self.class_anchors[labels] + self.noise * torch.randn(len(images), self.class_anchors.shape[1], device=self.device)
        if self.noise_assignment == "matched":
            codes = self._matched(codes, images, labels)
        loss = squared_error(self.decode(codes), images).mean()
        log_terms(self, stage, {"loss": loss, "mse": loss / images[0].numel()}, len(images))
        return loss

    @torch.no_grad()
    def _matched(self, codes: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Codes reassigned within each class, with the least sum of squared errors between decodes and images."""
        decoded, matched = self.decode(codes), codes.clone()
        for label in labels.unique():
            own = (labels == label).nonzero()[:, 0]
            rows, columns = linear_sum_assignment(matching_costs(images[own], decoded[own]).cpu().numpy())
            matched[own[rows]] = codes[own[columns]]
        return matched

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps or training_steps(self))

    # -- verbs

    def anchors(self) -> Tensor:
        """Where each class lives, (classes, latent_dim)."""
        return self.class_anchors

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes (B, latent_dim).

        Where a code lies in its class is given as the quantile of its noise, from -1 to 1, in each direction: a code that is further out
        than any in training looks like the outermost of these.
        """
        posterior = self._posterior(codes)
        quantiles = torch.erf((codes - posterior @ self.class_anchors) / (self.noise * math.sqrt(2)))
        return self.decoder(torch.cat([posterior, quantiles], dim=1)).sigmoid()

    def forward(self, codes: Tensor) -> Tensor:
        return self.decode(codes)

    def _posterior(self, codes: Tensor) -> Tensor:
        r"""The probability of each class given a code, when all classes are equally likely, (B, classes).

        .. math:: p(d \,|\, z) \propto \exp(-\|z - a_d\|^2 / 2 \sigma^2) \propto \exp((z^T a_d - \|a_d\|^2 / 2) / \sigma^2)
        """
        return ((codes @ self.class_anchors.T - 0.5 * self.class_anchors.square().sum(dim=1)) / self.noise**2).softmax(dim=1)

    @torch.no_grad()
    def sample(
        self, n: int = 1, labels: Tensor | int | None = None, generator: Generator | None = None, *, temperature: float | None = None
    ) -> Tensor:
        """Decodes codes about the anchors, with the noise of training times the temperature, 1 by default.

        Without labels all classes are equally likely.
        """
        asked = labels_for(n, labels, self.classes)
        if asked is None:
            asked = torch.randint(self.classes, (n,), generator=generator)
        noise = checked_temperature(temperature) * torch.randn(n, self.class_anchors.shape[1], generator=generator)
        return self.decode(self.class_anchors[asked.to(self.device)] + self.noise * noise.to(self.device, self.dtype))


def matching_costs(images: Tensor, decoded: Tensor) -> Tensor:
    """Squared error of each image with each decode, (N, C, H, W) and (M, C, H, W) to (N, M)."""
    return torch.cdist(images.flatten(1), decoded.flatten(1)).square()
