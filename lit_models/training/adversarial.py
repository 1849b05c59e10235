"""What the training steps of adversarial models share: the two turns of a step.

Lightning counts a step for each optimiser that it steps. Here only the generator's optimiser is stepped through Lightning, so that
`global_step` counts batches, as in every other model: budgets, checkpoints, curves and resuming agree.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lit_models.losses import Adversary, discriminator_loss, gradient_penalty
from lit_models.training.logging import log_terms


def discriminator_terms(
    discriminator: nn.Module, images: Tensor, fakes: Tensor, labels: Tensor | None, kind: Adversary, gamma: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """The discriminator's loss on n real images and a multiple of n generated ones, and its terms.

    Accuracy is the share of real images with a score above a threshold, and the share of generated images below it. The threshold is 0. The
    relativistic loss has no such zero: there it is the mean score of the other kind.

    Args:
        labels: Of the real images, (n,), and of each n generated ones; None for a discriminator without classes.
        gamma: Weight of R1 + R2, halved.
    Returns:
        What the discriminator minimises, and its terms by name: `discriminator_loss`, `accuracy_real`, `accuracy_fake`.
    """
    both = torch.cat([images, fakes]).detach().requires_grad_(gamma > 0)
    scores = discriminator(both, None if labels is None else labels.repeat(len(both) // len(images)))
    real, fake = scores.split([len(images), len(fakes)])
    loss = discriminator_loss(real.repeat(len(fakes) // len(images)), fake, kind).mean()
    above, below = (fake.mean(), real.mean()) if kind == "relativistic" else (0.0, 0.0)
    terms = {"discriminator_loss": loss, "accuracy_real": (real > above).float().mean(), "accuracy_fake": (fake < below).float().mean()}
    if gamma > 0:
        r1, r2 = (part.mean() for part in gradient_penalty(scores, both).split([len(images), len(fakes)]))
        loss = loss + 0.5 * gamma * (r1 + r2)
    return loss, {name: term.detach() for name, term in terms.items()}


def discriminator_turn(module: Any, images: Tensor, fakes: Tensor, labels: Tensor | None) -> None:
    """One step of the discriminator of a GAN or VAE/GAN.

    Every `penalty_every` steps adds R1 and R2, scaled by `penalty_every` to compensate.
    """
    gamma = 0.0 if module.global_step % module.penalty_every else module.gamma * module.penalty_every
    loss, terms = discriminator_terms(module.discriminator, images, fakes, labels, module.loss, gamma)
    set_gradients(module.discriminator, loss, module.trainer)
    module.optimizers()[1].optimizer.step()  # not through Lightning, which would count it
    log_terms(module, "train", terms, len(images))


def set_gradients(network: nn.Module, loss: Tensor, trainer: Trainer, *, keep_graph: bool = False) -> None:
    """Set the gradients of `loss` for the parameters of `network` and for no others, averaged over processes.

    `backward` would also reach the other networks, and DDP would wait for those that it does not reach.

    Args:
        keep_graph: Keep the graph for the gradients of another network.
    """
    parameters = list(network.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters, retain_graph=keep_graph), strict=True):
        # Gradients of gradients have another memory layout than their parameter, and fused Adam reads both in their own layout.
        parameter.grad = torch.empty_like(parameter).copy_(trainer.strategy.reduce(gradient, reduce_op="mean"))


def step_schedules(module: LightningModule) -> None:
    """One step of every learning-rate schedule: under manual optimisation Lightning leaves this to the model."""
    schedules = module.lr_schedulers()
    for schedule in schedules if isinstance(schedules, list) else [schedules]:
        schedule.step()  # type: ignore[union-attr, call-arg]


def check_precision(trainer: Trainer) -> None:
    """ValueError for float16, because Lightning would look for scaled gradients."""
    if str(trainer.precision).startswith("16"):
        raise ValueError(f"a GAN expected --trainer.precision 32-true or bf16-mixed, got {trainer.precision}")
