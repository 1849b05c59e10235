r"""Label-anchored decoder: no encoder, a latent space that is laid out by hand.

The code of an image of digit d is its anchor plus noise, :math:`z = a_d + \sigma \epsilon`, and the decoder minimises
:math:`\sum_i (\hat x_i - x_i)^2`. With independent noise the best decoder of a class is the class mean, and noise carries nothing.
Matched noise is that of a class's images in a batch dealt out so that each image gets a draw whose decode comes near to it; it
stays standard normal as a whole, and comes to mean something.

Reference: this study's own idea; the assignment is akin to Li & Malik, Implicit Maximum Likelihood Estimation, 2018,
https://arxiv.org/abs/1809.09087, and to Bojanowski & Joulin, Unsupervised Learning by Predicting Noise, 2017.
"""

import math
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from lit_models.losses import PIXELS, squared_error
from lit_models.nn.autoencoder import Decoder
from lit_models.sampling.anchors import Layout, class_anchors
from lit_models.sampling.labels import check_labels
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam


class AnchoredDecoder(LightningModule):
    """`layout` places the classes (`lit_models.sampling.anchors`), `noise` is sigma: neighbouring anchors are sqrt(latent_dim) apart.

    As the classes are laid out by hand, p(d | z) is known: the decoder is given it, and where in its class a code lies, and passes
    both through two layers of `width`. It need not learn where one class ends.
    The learning rate falls from `lr` to a fiftieth of it in `lr_steps` steps.
    """

    classes = 10

    def __init__(
        self,
        latent_dim: int = 16,
        layout: Layout = "line",
        noise: float = 0.5,
        noise_assignment: Literal["independent", "matched"] = "independent",
        channels: int = 32,
        blocks: int = 1,
        width: int = 256,
        lr: float = 2e-3,
        lr_steps: int = 5000,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if noise <= 0:
            raise ValueError(f"noise must be above 0, got {noise}")
        self.noise, self.noise_assignment, self.lr, self.lr_steps = noise, noise_assignment, lr, lr_steps
        places = class_anchors(layout, latent_dim)
        self.register_buffer("places", places, persistent=False)
        self.decoder = nn.Sequential(nn.Linear(len(places) + latent_dim, width), nn.SiLU(), Decoder(width, channels, blocks, width))

    # -- objective

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def _step(self, batch: list[Tensor], stage: str) -> Tensor:
        images, labels = batch
        codes = self.places[labels] + self.noise * torch.randn(len(images), self.places.shape[1], device=self.device)
        if self.noise_assignment == "matched":
            codes = self._matched(codes, images, labels)
        loss = squared_error(self.decode(codes), images).mean()
        log_terms(self, stage, {"loss": loss, "mse": loss / PIXELS}, len(images))
        return loss

    @torch.no_grad()
    def _matched(self, codes: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Codes of each class dealt out anew, with the least sum of squared errors between decodes and images."""
        decoded, matched = self.decode(codes), codes.clone()
        for digit in labels.unique():
            own = (labels == digit).nonzero()[:, 0]
            rows, columns = linear_sum_assignment(matching_costs(images[own], decoded[own]).cpu().numpy())
            matched[own[rows]] = codes[own[columns]]
        return matched

    def configure_optimizers(self) -> Any:
        return adam(self.parameters(), self.lr, self.lr_steps)

    # -- verbs

    def anchors(self) -> Tensor:
        """Where each class lives, (10, latent_dim)."""
        return self.places

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes (B, latent_dim). Where a code lies in its class is the noise as a quantile, from -1 to 1, in each direction:
        codes further out than any in training look like the outermost of these."""
        posterior = self._posterior(codes)
        quantiles = torch.erf((codes - posterior @ self.places) / (self.noise * math.sqrt(2)))
        return self.decoder(torch.cat([posterior, quantiles], dim=1)).sigmoid()

    def _posterior(self, codes: Tensor) -> Tensor:
        r"""Which class a code is of when classes are alike in number, (B, 10).

        .. math:: p(d \,|\, z) \propto \exp(-\|z - a_d\|^2 / 2 \sigma^2) \propto \exp((z^T a_d - \|a_d\|^2 / 2) / \sigma^2)
        """
        return ((codes @ self.places.T - 0.5 * self.places.square().sum(dim=1)) / self.noise**2).softmax(dim=1)

    def sample(self, n: int, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Decodes codes about the anchors, with the noise of training; classes without labels are drawn alike."""
        check_labels(n, labels, self.classes)
        if labels is None:
            labels = torch.randint(self.classes, (n,), generator=generator)
        noise = torch.randn(n, self.places.shape[1], generator=generator)
        return self.decode(self.places[labels.to(self.device)] + self.noise * noise.to(self.device, self.dtype))


def matching_costs(images: Tensor, decoded: Tensor) -> Tensor:
    """Squared error of each image with each decode, (N, 1, 28, 28) and (M, 1, 28, 28) to (N, M)."""
    return torch.cdist(images.flatten(1), decoded.flatten(1)).square()
