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

from functools import partial
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.contracts import ImageShape
from lit_models.nn.blocks import MNIST
from lit_models.nn.patch_transformer import PatchTransformer
from lit_models.nn.unet import UNet
from lit_models.sampling.flow_sampling import FlowSampling
from lit_models.sampling.guidance import LEFT_OUT, checked_guidance, guidance_at
from lit_models.sampling.noise_path import NoisePath, Path, expand
from lit_models.sampling.ode import Solver, check_steps
from lit_models.sampling.shortcut import STEPS, TAUGHT, level_of, of_two_steps, random_level, random_times
from lit_models.training.averages import averaged
from lit_models.training.batches import images_of, labelled_images_of
from lit_models.training.logging import log_terms
from lit_models.training.schedules import adam, training_steps

NETWORKS: dict[str, type[torch.nn.Module]] = {"unet": UNet, "transformer": PatchTransformer}


class Flow(FlowSampling, LightningModule):
    """`forward` is `denoise`.

    Args:
        network: `unet` with `channels` maps on its finer grid, or `transformer` over patches, of a width of four times `channels`.
        path: From noise to images: `linear` for flow matching, `cosine` for diffusion.
        solver: Of the samples: `euler`, `midpoint` or `heun`, or `ddim`, which is `euler` in the angle of the path `cosine`.
        steps: Steps of the solver by default; those of `midpoint` and `heun` evaluate the network twice.
        guidance: By default. 1 is none, 0 ignores the labels, and above 1 samples show their label more clearly and vary less.
        guided_from: The time from which guidance above 1 acts; 0 is the whole way, on which samples vary less.
        time_mean: Mean of the normal numbers whose sigmoid is the time; below 0 training sees more noise.
        decay: Decay of the moving average of the weights.
        shortcut: Also learn longer steps, which lead in one evaluation where two steps of half their length lead
            (`lit_models.sampling.shortcut`): images in 1, 2, 4, 8 or 16 steps of `euler`. The guidance is learned, too.
        lr: Learning rate. It falls to a fiftieth in `lr_steps` steps (null: the length of the training).
        image_shape, classes: Of the data; classes is None for images without labels, which leave no guidance.
    """

    exact = False  # of `log_likelihood`

    def __init__(
        self,
        network: Literal["unet", "transformer"] = "unet",
        path: Path = "linear",
        solver: Solver | Literal["ddim"] = "heun",
        steps: int = 5,
        guidance: float = 2.0,
        guided_from: float = 0.3,
        channels: int = 32,
        time_mean: float = -0.4,
        decay: float = 0.999,
        lr: float = 2e-3,
        lr_steps: int | None = None,
        image_shape: ImageShape = MNIST,
        classes: int | None = 10,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if solver not in (known := (*get_args(Solver), "ddim")):
            raise ValueError(f"solver must be one of {', '.join(known)}, got {solver!r}")
        if shortcut and path != "linear":
            raise ValueError(f"shortcut expected the path linear, got {path}")
        self.image_shape, self.classes, self.path, self.solver = image_shape, classes, NoisePath(path), solver
        self.steps, self.time_mean, self.lr, self.lr_steps = check_steps(steps), time_mean, lr, lr_steps
        self.shortcut = shortcut
        if shortcut:
            level_of(steps)  # an error, if it has none
        self.default_guidance, self.guided_from = checked_guidance(guidance), guided_from
        self.network: torch.nn.Module = NETWORKS[network](
            channels, image_shape=image_shape, classes=classes, levels=len(STEPS) if shortcut else 1
        )
        self.averaged_network = averaged(self.network, decay)

    # -- objective

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if self.global_step > 0:
            self.averaged_network.update_parameters(self.network)  # the weights of the step before
        images, tokens = self._images_and_tokens(batch)
        some_left_out = torch.where(torch.rand(len(images), device=self.device) < LEFT_OUT, self.classes or 0, tokens)
        if not self.shortcut:
            loss = self._loss(self.network, images, some_left_out).mean()
            log_terms(self, "train", {"loss": loss}, len(images))
            return loss
        n = max(1, len(images) // TAUGHT)
        taught = self._shortcut_loss(images[:n], tokens[:n]).mean()
        velocity = self._loss(self.network, images[n:], some_left_out[n:]).sum() / max(1, len(images) - n)
        loss = velocity + taught
        log_terms(self, "train", {"loss": loss, "velocity": velocity, "shortcut": taught}, len(images))
        return loss

    def _shortcut_loss(self, images: Tensor, tokens: Tensor) -> Tensor:
        """The squared error of the mean velocity over a longer step, summed over pixels, (B,)."""
        level = random_level()
        times = random_times(images, level)
        state = self.path.between(torch.randn_like(images), 2 * images - 1, times)
        asked = of_two_steps(partial(self.mean_velocity, tokens), state, times, level)
        found = self.path.velocity(state, self.network(state, times, tokens, level), times)
        return (found - asked).square().flatten(1).sum(dim=1)

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

    def denoise(self, noisy: Tensor, times: Tensor, tokens: Tensor, guidance: float = 1.0, level: int = 0) -> Tensor:
        """The clean images that are predicted from x_t (B, C, H, W) in [-1, 1], at times (B,), with labels (B,); `classes` is no label.

        With shortcuts `level` is that of the step, and the steps above level 0 have learned their guidance.
        """
        if level > 0:
            return self.averaged_network(noisy, times, tokens, level)
        if guidance == 1 or self.classes is None:
            return self.averaged_network(noisy, times, tokens)
        free = torch.full_like(tokens, self.classes)
        if guidance == 0:
            return self.averaged_network(noisy, times, free)
        strength = guidance_at(times, guidance, self.guided_from)
        if bool((strength == 1).all()):
            return self.averaged_network(noisy, times, tokens)
        both = self.averaged_network(noisy.repeat(2, 1, 1, 1), times.repeat(2), torch.cat([free, tokens]))
        return torch.lerp(*both.chunk(2), expand(strength, noisy))

    def forward(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        return self.denoise(noisy, times, tokens)
