r"""Vector-quantised variational autoencoder, and the prior over its codes that it is sampled from.

One run has two phases. For `autoencoder_steps` steps the autoencoder minimises :math:`\sum_i (\hat x_i - x_i)^2 + c\, \overline{(z_e -
e)^2}` (`losses.commitment_loss` derives c), with gradients passed straight through the quantiser. On binary images the first term is
:math:`-\log p(x|k)` with Bernoulli pixels, the nats that `code_length` spends on pixels. Then the autoencoder is frozen, and a transformer
minimises :math:`-\log p(k|y)`, the nats of an image's codes given its label, or a bound on it. The codebook must have settled before the
prior can learn its codes.

Reference: van den Oord et al., Neural Discrete Representation Learning, 2017. https://arxiv.org/abs/1711.00937. The part that rounds
instead of looking up a codebook is `lit_models.nn.finite_scalar`, the prior that draws codes in any order `lit_models.nn.masked`.
"""

from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor

from lit_models.contracts import ImageShape
from lit_models.losses import MNIST_VARIANCE, bernoulli_loss, commitment_loss, is_binary, squared_error
from lit_models.nn.autoencoder import GridDecoder, GridEncoder
from lit_models.nn.blocks import MNIST
from lit_models.nn.finite_scalar import FiniteScalarQuantiser
from lit_models.nn.masked import STEPS, MaskedPrior
from lit_models.nn.quantiser import VectorQuantiser
from lit_models.nn.transformer import CodePrior
from lit_models.sampling.index_sampling import IndexSampling
from lit_models.sampling.keep_training_codes import KeepTrainingCodes
from lit_models.sampling.training_codes import TrainingCodes
from lit_models.training.batches import images_of, labelled_images_of
from lit_models.training.logging import log_terms
from lit_models.training.phases import forget_logged_values, phase_begins, phase_of, phase_schedule, split_steps, zero_of
from lit_models.training.schedules import training_steps


class VQVAE(IndexSampling, LightningModule):
    """An image is `grid` x `grid` codes out of `n_codes`, each a vector of `code_dim` numbers. `forward` is `reconstruct`.

    The first batch that a process sees decides whether images are binary. A look at every batch would wait for the device each time.

    Args:
        sampler: What `sample` draws codes from by default: a transformer, the frequencies of training images at each position (within a
            class, if labels are given), or all codes alike. With `masked` the transformer that is trained is the masked one, which draws
            in `steps` steps, otherwise it is the autoregressive one.
        quantiser: A learned codebook, or numbers rounded to a few `levels` each. With `fsq`, `n_codes` and `code_dim` follow from the
            levels, and `commitment`, `decay` and `revive_below` have no meaning.
        autoencoder_steps: Steps of the first phase (null: a quarter of the training); its learning rate falls from `lr` to a fiftieth.
        prior_steps: Steps in which the prior's learning rate falls to a fiftieth, where it stays (null: the rest of the training).
        prior_dropout: For data sets so small that the prior would learn them by heart.
        decay: Decay of the codebook's moving averages.
        revive_below: A code whose use is below this share of the average use is moved to an encoder output.
        commitment: Weight of the commitment loss, on the paper's scale.
        image_shape, classes: Of the data; classes is None for images without labels, and then the prior is not conditional.
        pixel_variance: var(x) of the training pixels, from which the scale of the commitment loss follows.
    """

    def __init__(
        self,
        n_codes: int = 256,
        code_dim: int = 16,
        grid: Literal[4, 5, 7, 8] = 4,
        sampler: Literal["autoregressive", "masked", "frequencies", "uniform"] = "autoregressive",
        autoencoder_steps: int | None = None,
        prior_steps: int | None = None,
        channels: int = 64,
        blocks: int = 1,
        prior_width: int = 128,
        prior_layers: int = 3,
        prior_dropout: float = 0.0,
        commitment: float = 0.25,
        decay: float = 0.99,
        revive_below: float = 0.02,
        lr: float = 8e-3,
        prior_lr: float = 4e-3,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
        pixel_variance: float = MNIST_VARIANCE,
        quantiser: Literal["codebook", "fsq"] = "codebook",
        levels: tuple[int, ...] = (8, 6, 5),
    ) -> None:
        super().__init__()
        if quantiser not in ("codebook", "fsq"):
            raise ValueError(f"quantiser must be codebook or fsq, got {quantiser!r}")
        self.save_hyperparameters()
        self.image_shape, self.pixel_variance, self.label_count = image_shape, pixel_variance, classes
        self.grid, self.sampler, self.commitment = grid, sampler, commitment
        self.autoencoder_steps, self.prior_steps, self.lr, self.prior_lr = autoencoder_steps, prior_steps, lr, prior_lr
        codes = FiniteScalarQuantiser(levels) if quantiser == "fsq" else VectorQuantiser(n_codes, code_dim, decay, revive_below)
        self.n_codes = codes.n_codes
        self.encoder = GridEncoder(codes.dim, grid, channels, blocks, image_shape)
        self.quantiser = codes
        self.decoder = GridDecoder(codes.dim, grid, channels, blocks, image_shape=image_shape)
        prior = MaskedPrior if sampler == "masked" else CodePrior
        self.prior = prior(self.n_codes, grid**2, classes or 1, width=prior_width, layers=prior_layers, dropout=prior_dropout)
        if sampler == "masked":
            self.steps = STEPS  # other models have no steps
        self.register_buffer("prior_begun", torch.tensor(False))
        self.training_codes = TrainingCodes()
        self._binary: bool | None = None  # unknown until the first batch

    def configure_callbacks(self) -> list[Callback]:
        return [KeepTrainingCodes()]

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if phase_begins(self):
            forget_logged_values(self.trainer)
        return self._autoencoder_step(batch) if phase_of(self) == 0 else self._prior_step(batch)

    def _autoencoder_step(self, batch: Any) -> Tensor:
        images, _ = labelled_images_of(self, batch, self.label_count)  # the second phase needs the labels
        vectors = self._vectors(images)
        self.quantiser.update(vectors.detach())
        quantised = self.quantiser.lookup(self.quantiser.indices(vectors.detach()))
        straight_through = vectors + (quantised - vectors).detach()
        reconstruction = self._pixel_loss(self.decoder(straight_through), images).mean()
        loss, terms = reconstruction, {"reconstruction": reconstruction}
        if self.quantiser.commits:
            pixels, nats = images[0].numel(), self._is_binary(images)
            commitment = commitment_loss(vectors, quantised, pixels, self.pixel_variance, self.commitment, nats).mean()
            loss, terms = reconstruction + commitment, terms | {"commitment": commitment}
        log_terms(self, "train", {"loss": loss} | terms, len(images))
        return loss + zero_of(self.prior.parameters())

    def _is_binary(self, images: Tensor) -> bool:
        if self._binary is None:
            self._binary = is_binary(images)
        return self._binary

    def _pixel_loss(self, logits: Tensor, images: Tensor) -> Tensor:
        return bernoulli_loss(logits, images) if self._is_binary(images) else squared_error(logits.sigmoid(), images)

    def _prior_step(self, batch: Any) -> Tensor:
        images, labels = labelled_images_of(self, batch, self.label_count)
        self.prior_begun.fill_(True)
        with torch.no_grad():
            codes = self.indices(images).flatten(1)
        nats = self.prior.loss(codes, labels).mean()
        log_terms(self, "train", {"loss": nats, "prior": nats}, len(images))
        return nats + zero_of([*self.encoder.parameters(), *self.decoder.parameters()])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Any, stage: str) -> None:
        images, labels = labelled_images_of(self, batch, self.label_count)
        codes = self.indices(images)
        logits = self.decoder(self.lookup(codes))
        reconstruction, mse = self._pixel_loss(logits, images).mean(), squared_error(logits.sigmoid(), images).mean() / images[0].numel()
        nats = -self.prior.log_density(codes.flatten(1), labels).mean()
        terms = {"loss": reconstruction + nats, "reconstruction": reconstruction, "prior": nats, "mse": mse}
        log_terms(self, stage, terms, len(images))

    def configure_optimizers(self) -> Any:
        groups = [
            {"params": [*self.encoder.parameters(), *self.decoder.parameters()], "lr": self.lr},
            {"params": list(self.prior.parameters()), "lr": self.prior_lr},
        ]
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.95), fused=True)
        given = [self.autoencoder_steps, self.prior_steps]
        steps = given if None not in given else split_steps(training_steps(self), given, shares=[0.25, 0.75])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": phase_schedule(optimizer, steps), "interval": "step"}}

    # -- verbs

    def _vectors(self, images: Tensor) -> Tensor:
        """What is rounded to codes, (B, D, grid, grid)."""
        return self.quantiser.bound(self.encoder(images))

    def indices(self, images: Tensor) -> Tensor:
        """Codebook indices, (B, grid, grid)."""
        return self.quantiser.indices(self._vectors(images))

    def lookup(self, indices: Tensor) -> Tensor:
        return self.quantiser.lookup(indices)

    def encode(self, images: Tensor) -> Tensor:
        """Quantised vectors, (B, code_dim, grid, grid)."""
        return self.lookup(self.indices(images))

    def decode(self, codes: Tensor) -> Tensor:
        """Images of vectors.

        Each vector is first replaced by the nearest code. So `codes` may also be averages of codes, or codes with noise.
        """
        return self.decoder(self.lookup(self.quantiser.indices(codes))).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.reconstruct(images)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.encode(images_of(self, batch)[0])

    def code_length(self, images: Tensor) -> Tensor:
        r"""Length of a two-part code of each image, an upper bound of :math:`-\log p(x)`, in nats, (B,):

        .. math:: -\log \textstyle\sum_y p(y)\, p(k(x)|y) - \log p(x|k(x))

        It is a bound because k(x) is one of all the codes that may have made the image. Labels are summed out, with their shares among
        training images, and pixels are Bernoulli. With the masked prior, p(k|y) is its estimate of the any-order bound.

        Raises:
            ValueError: For grey images.
        """
        if not is_binary(images):
            raise ValueError("a likelihood under Bernoulli pixels expected images of 0 and 1, got grey ones: train with --config binarized")
        codes = self.indices(images)
        nats = -self.label_mixture().log_joint(codes.flatten(1)).logsumexp(dim=0)
        return bernoulli_loss(self.decoder(self.lookup(codes)), images) + nats
