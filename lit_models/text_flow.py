r"""Images from words: an autoencoder, and a flow over its codes that is told a sentence.

One run has two phases, as that of an AE with the sampler `flow` (`lit_models.training.prior_phase`). In the second phase each image gets a
sentence about what it shows: its class, and its thickness, slant and width, which are measured (`lit_models.evaluation.morphology`) and put
into levels of equally many training images. A sentence says some of it in some words (`lit_models.training.captions`). A small text network
is trained with the flow and by contrast with the codes of the images (`lit_models.nn.text_prior`).

A tenth of all combinations of class, thickness and slant is never told in training, so that one can ask for what was never told.

Reference: Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, 2022. https://arxiv.org/abs/2112.10752
"""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Generator, Tensor

from lit_models.contracts import ImageShape
from lit_models.evaluation.morphology import ATTRIBUTES, morphology
from lit_models.losses import squared_error
from lit_models.nn.autoencoder import Decoder, Encoder
from lit_models.nn.blocks import MNIST
from lit_models.nn.text_prior import TextPrior
from lit_models.sampling.keep_training_codes import KeepTrainingCodes
from lit_models.sampling.latent_sampling import LatentSampling, samplers_for
from lit_models.sampling.temperature import checked_temperature
from lit_models.sampling.training_codes import TrainingCodes
from lit_models.training.batches import images_of
from lit_models.training.captions import LEVELS, Captions, held_out
from lit_models.training.distributed import gathered
from lit_models.training.fixed_images import fixed_images
from lit_models.training.logging import log_terms
from lit_models.training.phases import forget_logged_values, phase_begins
from lit_models.training.prior_phase import (
    IMAGES,
    REPEATS,
    adam_in_phases,
    codes_of,
    fit_scale,
    idle,
    images_and_labels,
    own_parameters,
    trains_prior,
)


class TextFlow(LatentSampling, LightningModule):
    """`forward` is `reconstruct`.

    Args:
        latent_dim: Width of the code.
        guidance: By default. 1 is none, and above 1 samples show more clearly what the words say, and vary less. It acts on the second half
            of the way from noise to codes.
        contrast: Weight of the contrastive loss beside the loss of the flow.
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: 0.4 of the training).
        prior_lr: Learning rate of flow and text network. It falls to a fiftieth in `prior_steps` steps (null: the rest of the training).
        image_shape, classes, class_names: Of the data; classes without names are numbers. Without classes sentences name attributes alone.
    """

    def __init__(
        self,
        latent_dim: int = 16,
        guidance: float = 1.5,
        contrast: float = 1.0,
        channels: int = 32,
        blocks: int = 1,
        lr: float = 8e-3,
        lr_steps: int | None = None,
        prior_lr: float = 2e-3,
        prior_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        names = tuple(class_names or map(str, range(classes))) if classes else ()
        if classes and len(names) != classes:
            raise ValueError(f"expected {classes} class_names, one per class, got {len(names)}: {', '.join(names[:12])}")
        self.save_hyperparameters()
        self.image_shape, self.samplers, self.default_sampler = image_shape, samplers_for("flow", classes), "flow"
        self.latent_dim, self.contrast = latent_dim, contrast
        self.lr, self.lr_steps, self.prior_lr, self.prior_steps = lr, lr_steps, prior_lr, prior_steps
        self.encoder = Encoder(latent_dim, channels, blocks, image_shape=image_shape)
        self.decoder = Decoder(latent_dim, channels, blocks, image_shape=image_shape)
        self.training_codes = TrainingCodes()
        self.captions = Captions(names)
        nouns = self.captions.tokens([each[0] for each in self.captions.nouns] or ["image"])
        self.prior = TextPrior(latent_dim, nouns, classes, len(self.captions.words), guidance)
        for name, levels in zip(ATTRIBUTES, LEVELS, strict=True):
            self.register_buffer(f"{name}_edges", torch.zeros(levels - 1))

    def configure_callbacks(self) -> list[Callback]:
        return [KeepTrainingCodes()]

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self._prior_step(batch) if trains_prior(self) else self._step(batch, "train")
        return loss + idle(self)

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._step(batch, "test")

    def _step(self, batch: Any, stage: str) -> Tensor:
        images, labels = images_and_labels(self, batch)
        codes = self.encode(images)
        loss = squared_error(self.decode(codes), images).mean()
        terms = {"loss": loss, "mse": loss / images[0].numel()}
        if stage != "train":
            tokens = self._told(self.shown(images, labels), whole=True)
            prior = self.prior.loss(codes, tokens).mean()
            terms |= {"loss": loss + prior, "prior": prior, "retrieval": self.prior.retrieved(codes, tokens).to(loss).mean()}
        log_terms(self, stage, terms, len(images))
        return loss

    def _prior_step(self, batch: Any) -> Tensor:
        if phase_begins(self):
            forget_logged_values(self.trainer)
            fit_scale(self)
            self._fit_levels()
        self.prior.after_step()  # the weights of the step before
        images, labels = images_and_labels(self, batch)
        shown = self.shown(images, labels)
        tokens, counted = self._told(shown), ~held_out(shown)
        with torch.no_grad():
            codes = codes_of(self, images, REPEATS)
        each = self.prior.loss(codes, tokens.repeat(REPEATS, 1))
        counted_of_all = gathered(counted)  # sentences are told apart from those of all processes, as in one process
        number = REPEATS * len(counted) * counted_of_all.to(each).mean()
        prior = torch.where(counted.repeat(REPEATS), each, 0.0).sum() / number.clamp_min(1)
        contrast = self.prior.contrast(gathered(codes[: len(images)]), gathered(tokens), counted_of_all)
        loss = prior + self.contrast * contrast
        log_terms(self, "train", {"loss": loss, "prior": prior, "contrast": contrast}, len(images))
        return loss

    def _fit_levels(self) -> None:
        """Find the edges of the levels from fixed training images, the same on all processes."""
        found = morphology(fixed_images(self.trainer, "train", IMAGES)[0])
        for name, levels, values in zip(ATTRIBUTES, LEVELS, found.T, strict=True):
            getattr(self, f"{name}_edges").copy_(values.quantile(torch.arange(1, levels).to(values) / levels))

    def shown(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """What images show: the class (0 if it is not known), and the levels of thickness, slant and width, (B, 4)."""
        edges = [getattr(self, f"{name}_edges") for name in ATTRIBUTES]
        levels = [torch.bucketize(values.contiguous(), each) for values, each in zip(morphology(images).T, edges, strict=True)]
        return torch.stack([torch.zeros_like(levels[0]) if labels is None else labels.long(), *levels], dim=1)

    def _told(self, shown: Tensor, whole: bool = False) -> Tensor:
        """Sentences about what images show, as tokens (B, T)."""
        sentences = self.captions.whole(shown) if whole else self.captions.random(shown)
        return self.captions.tokens(sentences).to(self.device)

    def configure_optimizers(self) -> Any:
        return adam_in_phases(self, own_parameters(self), self.lr_steps)

    # -- verbs

    @property
    def words(self) -> tuple[str, ...]:
        """All words that `sample_text` knows, besides those that it passes over."""
        return self.captions.words

    @torch.no_grad()
    def sample_text(
        self,
        texts: Sequence[str],
        generator: Generator | None = None,
        *,
        temperature: float | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """One image per text, (N, C, H, W). Options are those of `sample`.

        Raises:
            ValueError: If a word is not known; the message lists those that are.
        """
        tokens = self.captions.tokens(texts)
        codes = self.prior.draw_told(tokens, generator, checked_temperature(temperature), steps, guidance)
        return self.decode(codes.to(self.device, self.dtype))

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.reconstruct(images)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.encode(images_of(self, batch)[0])
