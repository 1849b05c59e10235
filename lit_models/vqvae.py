r"""Vector-quantised variational autoencoder, and the prior over its codes that it is sampled from.

One run, two phases. For `autoencoder_steps` steps the autoencoder minimises
:math:`\sum_i (\hat x_i - x_i)^2 + c\, \overline{(z_e - e)^2}` (`losses.commitment_loss` derives c), with gradients passed
straight through the quantiser; then it stands still and a transformer learns :math:`-\log p(k|y)`, the nats of an image's codes given
its digit. The codebook must have settled before the prior can learn its words.

Reference: van den Oord et al., Neural Discrete Representation Learning, 2017. https://arxiv.org/abs/1711.00937
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lit_models.losses import PIXELS, bernoulli_loss, commitment_loss, is_binary, negative_log_likelihood, squared_error
from lit_models.nn.autoencoder import GridDecoder, GridEncoder
from lit_models.nn.quantiser import VectorQuantiser
from lit_models.nn.transformer import CodePrior
from lit_models.sampling.labels import check_labels
from lit_models.sampling.training_codes import TrainingCodes
from lit_models.training.logging import log_terms
from lit_models.training.schedules import warmup_cosine


class VQVAE(LightningModule):
    """An image is `grid` x `grid` codes out of `n_codes`, each a vector of `code_dim` numbers.

    Args:
        code_prior: What `sample` draws codes from: the transformer, the training images' frequencies at each position
            (per class, if labels are given), or all codes alike.
        autoencoder_steps: Steps of the first phase; its learning rate falls from `lr` to a fiftieth in them.
        prior_steps: Steps in which the prior's learning rate falls from `prior_lr` to a fiftieth; it goes on there.
        prior_dropout: For data sets so small that the prior would learn them by heart.
        decay: Of the codebook's moving averages.
        revive_below: Codes used less than this share of the average use are put back among the data.
        commitment: Weight in the paper's scale.
    """

    def __init__(
        self,
        n_codes: int = 256,
        code_dim: int = 16,
        grid: Literal[4, 5, 7] = 4,
        code_prior: Literal["autoregressive", "frequencies", "uniform"] = "autoregressive",
        autoencoder_steps: int = 2000,
        prior_steps: int = 2000,
        channels: int = 64,
        blocks: int = 1,
        prior_width: int = 128,
        prior_layers: int = 3,
        prior_dropout: float = 0.0,
        commitment: float = 0.25,
        decay: float = 0.99,
        revive_below: float = 0.02,
        lr: float = 2e-3,
        prior_lr: float = 2e-3,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.n_codes, self.grid, self.code_prior, self.commitment = n_codes, grid, code_prior, commitment
        self.autoencoder_steps, self.prior_steps, self.lr, self.prior_lr = autoencoder_steps, prior_steps, lr, prior_lr
        self.encoder = GridEncoder(code_dim, grid, channels, blocks)
        self.quantiser = VectorQuantiser(n_codes, code_dim, decay, revive_below)
        self.decoder = GridDecoder(code_dim, grid, channels, blocks)
        self.prior = CodePrior(n_codes, grid * grid, classes=10, width=prior_width, layers=prior_layers, dropout=prior_dropout)
        self.register_buffer("prior_begun", torch.tensor(False))
        self.training_codes = TrainingCodes()

    # -- objective

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        if self.global_step < self.autoencoder_steps:
            return self._autoencoder_step(batch)
        if self.global_step == self.autoencoder_steps:
            self.trainer._results.clear()  # or Lightning goes on logging the last losses of the first phase
        return self._prior_step(batch)

    def _autoencoder_step(self, batch: list[Tensor]) -> Tensor:
        images, _ = batch
        vectors = self.encoder(images)  # (B, D, H, W)
        self.quantiser.update(vectors.detach())
        quantised = self.quantiser.lookup(self.quantiser.indices(vectors.detach()))
        straight_through = vectors + (quantised - vectors).detach()
        reconstruction = squared_error(self.decoder(straight_through).sigmoid(), images).mean()
        commitment = commitment_loss(vectors, quantised, self.commitment).mean()
        loss = reconstruction + commitment
        log_terms(self, "train", {"loss": loss, "reconstruction": reconstruction, "commitment": commitment}, len(images))
        return loss + nothing_of(self.prior)

    def _prior_step(self, batch: list[Tensor]) -> Tensor:
        images, labels = batch
        self.prior_begun.fill_(True)
        with torch.no_grad():
            codes = self.indices(images).flatten(1)
        nats = negative_log_likelihood(self.prior(codes, labels), codes).mean()
        log_terms(self, "train", {"loss": nats, "prior": nats}, len(images))
        return nats + nothing_of(self.encoder, self.decoder)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: list[Tensor], stage: str) -> None:
        images, labels = batch
        codes = self.indices(images)
        reconstruction = squared_error(self.decoder(self.lookup(codes)).sigmoid(), images).mean()
        nats = negative_log_likelihood(self.prior(codes.flatten(1), labels), codes.flatten(1)).mean()
        terms = {"loss": reconstruction + nats, "reconstruction": reconstruction, "prior": nats, "mse": reconstruction / PIXELS}
        log_terms(self, stage, terms, len(images))

    def configure_optimizers(self) -> Any:
        """One optimiser, whose two groups take turns: in the other's phase a group's learning rate is 0 and nothing moves."""
        autoencoder = [*self.encoder.parameters(), *self.decoder.parameters()]
        optimizer = torch.optim.Adam(
            [{"params": autoencoder, "lr": self.lr}, {"params": list(self.prior.parameters()), "lr": self.prior_lr}],
            betas=(0.9, 0.95),
            fused=True,
        )
        first = self.autoencoder_steps

        def autoencoder_lr(step: int) -> float:
            return warmup_cosine(step, first) if step < first else 0.0

        def prior_lr(step: int) -> float:
            return warmup_cosine(step - first, self.prior_steps) if step >= first else 0.0

        schedule = LambdaLR(optimizer, [autoencoder_lr, prior_lr])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # -- verbs

    def indices(self, images: Tensor) -> Tensor:
        return self.quantiser.indices(self.encoder(images))

    def lookup(self, indices: Tensor) -> Tensor:
        return self.quantiser.lookup(indices)

    def encode(self, images: Tensor) -> Tensor:
        """Quantised vectors, (B, D, grid, grid)."""
        return self.lookup(self.indices(images))

    def decode(self, codes: Tensor) -> Tensor:
        """Snaps each vector to the nearest code first, so that means and noisy codes are admissible."""
        return self.decoder(self.lookup(self.quantiser.indices(codes))).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def code_length(self, images: Tensor) -> Tensor:
        r"""Two-part code of each image, an upper bound of :math:`-\log p(x)` as the code k(x) is one of all that may have made it:

        .. math:: -\log \textstyle\sum_y p(y)\, p(k(x)|y) - \log p(x|k(x))

        in nats, (B,): labels are summed out, with the shares that training images have, and pixels are Bernoulli.

        Raises:
            ValueError: For grey images.
        """
        if not is_binary(images):
            raise ValueError("a likelihood under Bernoulli pixels expected images of 0 and 1, got grey ones: train with --config binarized")
        codes = self.indices(images)
        _, known = self.training_codes.get(self.device)
        shares = torch.bincount(known, minlength=10) / len(known)
        of_codes = [
            share.log() - negative_log_likelihood(self.prior(codes.flatten(1), torch.full_like(codes[:, 0, 0], label)), codes.flatten(1))
            for label, share in enumerate(shares)
        ]
        return bernoulli_loss(self.decoder(self.lookup(codes)), images) - torch.stack(of_codes).logsumexp(dim=0)

    @property
    def priors(self) -> Mapping[str, int | None]:
        """The first is what `sample` draws from unasked: `code_prior`, or frequencies until the transformer has begun."""
        known = ({"autoregressive": 10} if self.prior_begun else {}) | {"frequencies": 10, "uniform": None}
        return {name: known[name] for name in sorted(known, key=lambda name: name != self.code_prior)}

    @property
    def classes(self) -> int | None:
        return next(iter(self.priors.values()))

    def sample(self, n: int, labels: Tensor | None = None, generator: torch.Generator | None = None, prior: str | None = None) -> Tensor:
        """Decodes codes drawn from a prior; classes without labels are drawn as often as training images have them."""
        prior = prior or next(iter(self.priors))
        if prior not in self.priors:
            raise ValueError(f"prior must be one of {', '.join(self.priors)} at this stage of training, got {prior!r}")
        check_labels(n, labels, self.priors[prior])
        indices = getattr(self, f"_sample_{prior}")(n, labels, generator)
        return self.decoder(self.lookup(indices.view(n, self.grid, self.grid).to(self.device))).sigmoid()

    def _sample_uniform(self, n: int, labels: None, generator: torch.Generator | None) -> Tensor:
        return torch.randint(self.n_codes, (n, self.grid**2), generator=generator)

    def _sample_frequencies(self, n: int, labels: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Each position for itself takes the code that a random training image (of the class) has there."""
        codes, known = self.training_codes.get()
        columns = []
        for label in [None] * n if labels is None else labels.tolist():
            pool = codes if label is None else codes[known == label]
            rows = torch.randint(len(pool), (self.grid**2,), generator=generator)
            columns.append(pool.flatten(1)[rows, torch.arange(self.grid**2)])
        return torch.stack(columns)

    def _sample_autoregressive(self, n: int, labels: Tensor | None, generator: torch.Generator | None) -> Tensor:
        if labels is None:
            _, known = self.training_codes.get()
            labels = known[torch.randint(len(known), (n,), generator=generator)]
        return self.prior.sample(labels.to(self.device), generator)


def nothing_of(*modules: nn.Module) -> Tensor:
    """Zero, with a zero gradient for every parameter: DDP waits for all of them at every step."""
    return 0.0 * torch.stack([parameter.sum() for module in modules for parameter in module.parameters()]).sum()
