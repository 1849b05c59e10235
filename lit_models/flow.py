r"""Flow matching in pixels, and diffusion: a network that removes noise, and carries pure noise to images step by step.

On the path :math:`x_t = \alpha(t)\, x + \sigma(t)\, e` from noise :math:`e \sim N(0, I)` to an image x in [-1, 1]
(`lit_models.sampling.noise_path`), the network predicts x from x_t, t and the label, and with it the velocity v of the path. It minimises

.. math:: E\, \| v_\theta(x_t, t, y) - (\alpha'(t)\, x + \sigma'(t)\, e) \|^2

over times t that are a sigmoid of normal numbers. A tenth of the labels is left out in training. Samples solve :math:`dx/dt = v(x, t, y)`
with the averaged weights and, if asked for, with guidance (`lit_models.nn.flow_prior` has the formula). With the path `cosine` the same
class is a variance-preserving diffusion model, and `ddim` is its solver.

Reference: Lipman et al., Flow Matching for Generative Modeling, 2023, https://arxiv.org/abs/2210.02747; Li & He, Back to Basics: Let
Denoising Generative Models Denoise, 2025 (prediction of the image, loss of the velocity), https://arxiv.org/abs/2511.13720; Song et al.,
Denoising Diffusion Implicit Models, 2021, equation 12, https://arxiv.org/abs/2010.02502; Ho & Salimans, Classifier-Free Diffusion Guidance,
2022, https://arxiv.org/abs/2207.12598.
"""

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor

from lit_models.contracts import ImageShape
from lit_models.nn.blocks import MNIST
from lit_models.nn.patch_transformer import PatchTransformer
from lit_models.nn.unet import UNet
from lit_models.sampling.guidance import LEFT_OUT, checked_guidance
from lit_models.sampling.labels import labels_for
from lit_models.sampling.noise_path import NoisePath, Path
from lit_models.sampling.ode import Solver, check_steps, integrate
from lit_models.sampling.temperature import checked_temperature
from lit_models.training.averages import averaged
from lit_models.training.batches import images_of, labelled_images_of
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam, training_steps

NETWORKS: dict[str, type[torch.nn.Module]] = {"unet": UNet, "transformer": PatchTransformer}
AT_ONCE = 500  # images that are sampled together


class Flow(LightningModule):
    """`forward` is `denoise`.

    Args:
        network: `unet` with `channels` maps on its finer grid, or `transformer` over patches, of a width of four times `channels`.
        path: From noise to images: `linear` for flow matching, `cosine` for diffusion.
        solver: Of the samples: `euler`, `midpoint` or `heun`, or `ddim`, which is `euler` in the angle of the path `cosine`.
        steps: Steps of the solver by default; those of `midpoint` and `heun` evaluate the network twice.
        guidance: By default. 1 is none, 0 ignores the labels, and above 1 samples show their label more clearly and vary less.
        time_mean: Mean of the normal numbers whose sigmoid is the time; below 0 training sees more noise.
        decay: Decay of the moving average of the weights.
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training).
        image_shape, classes: Of the data; classes is None for images without labels, which leave no guidance.
    """

    def __init__(
        self,
        network: Literal["unet", "transformer"] = "unet",
        path: Path = "linear",
        solver: Solver | Literal["ddim"] = "heun",
        steps: int = 10,
        guidance: float = 1.5,
        channels: int = 32,
        time_mean: float = -0.4,
        decay: float = 0.999,
        lr: float = 2e-3,
        lr_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if solver not in (known := (*get_args(Solver), "ddim")):
            raise ValueError(f"solver must be one of {', '.join(known)}, got {solver!r}")
        self.image_shape, self.classes, self.path, self.solver = image_shape, classes, NoisePath(path), solver
        self.steps, self.time_mean, self.lr, self.lr_steps = check_steps(steps), time_mean, lr, lr_steps
        self.default_guidance = checked_guidance(guidance)
        self.network: torch.nn.Module = NETWORKS[network](channels, image_shape=image_shape, classes=classes)
        self.averaged_network = averaged(self.network, decay)

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if self.global_step > 0:
            self.averaged_network.update_parameters(self.network)  # the weights of the step before
        images, tokens = self._images_and_tokens(batch)
        tokens = torch.where(torch.rand(len(images), device=self.device) < LEFT_OUT, self.classes or 0, tokens)
        loss = self._loss(self.network, images, tokens).mean()
        log_terms(self, "train", {"loss": loss}, len(images))
        return loss

    def _loss(self, network: torch.nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
        """The squared error of the velocity at a random time, summed over pixels, (B,)."""
        clean, noise = 2 * images - 1, torch.randn_like(images)
        times = (self.time_mean + torch.randn_like(images[:, 0, 0, 0])).sigmoid()
        found = network(self.path.between(noise, clean, times), times, tokens)
        return self.path.weight(times) * (found - clean).square().flatten(1).sum(dim=1)

    def _images_and_tokens(self, batch: Any) -> tuple[Tensor, Tensor]:
        if self.classes is None:
            images, _ = images_of(self, batch)
            return images, torch.zeros(len(images), dtype=torch.long, device=self.device)
        images, labels = labelled_images_of(self, batch, self.classes)
        return images, labels.long()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Any, stage: str) -> None:
        images, tokens = self._images_and_tokens(batch)
        log_terms(self, stage, {"loss": self._loss(self.averaged_network, images, tokens).mean()}, len(images))

    def configure_optimizers(self) -> Any:
        return adam(self.network.parameters(), self.lr, self.lr_steps or training_steps(self))

    # -- verbs

    @property
    def guidance(self) -> float:
        """The guidance by default; a model without labels has none."""
        if self.classes is None:
            raise AttributeError("a flow without labels has no guidance")
        return self.default_guidance

    def denoise(self, noisy: Tensor, times: Tensor, tokens: Tensor, guidance: float = 1.0) -> Tensor:
        """The clean images that are predicted from x_t (B, C, H, W) in [-1, 1], at times (B,), with labels (B,); `classes` is no label."""
        if guidance == 1 or self.classes is None:
            return self.averaged_network(noisy, times, tokens)
        free = torch.full_like(tokens, self.classes)
        if guidance == 0:
            return self.averaged_network(noisy, times, free)
        both = self.averaged_network(noisy.repeat(2, 1, 1, 1), times.repeat(2), torch.cat([free, tokens]))
        return torch.lerp(*both.chunk(2), guidance)

    def forward(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        return self.denoise(noisy, times, tokens)

    def velocity(self, tokens: Tensor, guidance: float, noisy: Tensor, time: float) -> Tensor:
        """dx/dt at x_t (B, C, H, W) at one time."""
        times = noisy.new_full((len(noisy),), time)
        return self.path.velocity(noisy, self.denoise(noisy, times, tokens, guidance), times)

    @torch.no_grad()
    def sample(
        self,
        n: int = 1,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        *,
        temperature: float | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """Images from noise, whose standard deviation is the temperature, 1 by default. Without labels all classes are equally likely.

        Args:
            steps, guidance: By default those of the model.
        Raises:
            ValueError: For guidance of a model without labels.
        """
        if guidance is not None and self.classes is None:
            raise ValueError("guidance expected a model of labelled images, got one without labels: leave it out")
        strength = checked_guidance(guidance, self.default_guidance)
        asked = labels_for(n, labels, self.classes)
        if asked is None:
            asked = torch.randint(self.classes or 1, (n,), generator=generator)
        noise = checked_temperature(temperature) * torch.randn(n, *self.image_shape, generator=generator)
        parts = []
        for start, tokens in zip(noise.split(AT_ONCE), asked.split(AT_ONCE), strict=True):
            states = self.states(start.to(self.device, self.dtype), tokens.to(self.device), strength, steps)
            parts.append(deque(states, maxlen=1).pop())
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)

    def states(self, start: Tensor, tokens: Tensor, guidance: float = 1.0, steps: int | None = None) -> Iterator[Tensor]:
        """What becomes of noise (B, C, H, W) after each step of the solver; the last state is an image in [-1, 1].

        The last step of `heun` is one of `euler`: at t = 1, where it would look, the velocity is not defined, and without noise the
        predicted image is the solution.
        """
        state, steps = start, check_steps(self.steps if steps is None else steps)
        times = torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()
        for now, then in pairwise(times):
            if self.solver == "ddim":
                moment, after = (state.new_full((len(state),), time) for time in (now, then))
                clean = self.denoise(state, moment, tokens, guidance)
                state = self.path.between(self.path.noise_in(state, clean, moment), clean, after)
            else:
                solver: Any = "euler" if self.solver == "heun" and then == 1 else self.solver
                state = integrate(partial(self.velocity, tokens, guidance), state, 1, solver, begin=now, end=then)
            yield state
