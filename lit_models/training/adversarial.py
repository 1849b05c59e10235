"""What the players of a game share: turns in which one alone is given gradients, and an average of the one that is sampled.

Lightning counts a step for each optimiser that it steps. Here only the generator's is stepped through Lightning, so that
`global_step` is batches seen, as in every other model: budgets, checkpoints, curves and resumption agree.
"""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lit_models.losses import Adversary, discriminator_loss, gradient_penalty
from lit_models.nn.adversarial import Discriminator
from lit_models.training.logging import log_terms


def judge(
    discriminator: Discriminator, images: Tensor, fakes: Tensor, labels: Tensor, kind: Adversary, gamma: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """The discriminator's side of a game over n real images and a multiple of n generated ones, all with these labels.

    Accuracy is the share of real images that score above a threshold, and of generated ones below it. The threshold is 0, but for the
    relativistic loss, which knows no zero, the mean score of the other kind.

    Args:
        gamma: Weight of R1 + R2, halved.
    Returns:
        What the discriminator minimises, and its parts by name: `discriminator_loss`, `accuracy_real`, `accuracy_fake`.
    """
    both = torch.cat([images, fakes]).detach().requires_grad_(gamma > 0)
    scores = discriminator(both, labels.repeat(len(both) // len(images)))
    real, fake = scores.split([len(images), len(fakes)])
    loss = discriminator_loss(real.repeat(len(fakes) // len(images)), fake, kind).mean()
    above, below = (fake.mean(), real.mean()) if kind == "relativistic" else (0.0, 0.0)
    parts = {"discriminator_loss": loss, "accuracy_real": (real > above).float().mean(), "accuracy_fake": (fake < below).float().mean()}
    if gamma > 0:
        r1, r2 = (part.mean() for part in gradient_penalty(scores, both).split([len(images), len(fakes)]))
        loss = loss + 0.5 * gamma * (r1 + r2)
    return loss, {name: part.detach() for name, part in parts.items()}


def gradients_for(player: nn.Module, loss: Tensor, trainer: Trainer, *, again: bool = False) -> None:
    """Set the gradients of `loss` for the parameters of `player` and for no others, as means over the processes.

    `backward` would reach the other players too, and DDP would wait for those that it does not reach.

    Args:
        again: Keep the graph, for another player's gradients.
    """
    parameters = list(player.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters, retain_graph=again), strict=True):
        # In the layout of the parameter, which gradients of gradients do not have: fused Adam reads both as they lie in memory.
        parameter.grad = torch.empty_like(parameter).copy_(trainer.strategy.reduce(gradient, reduce_op="mean"))


def discriminator_turn(game: Any, images: Tensor, fakes: Tensor, labels: Tensor) -> None:
    """One step of the discriminator in a GAN or VAE/GAN; every `penalty_every` steps it pays R1 and R2 too, and so much more."""
    gamma = 0.0 if game.global_step % game.penalty_every else game.gamma * game.penalty_every
    loss, parts = judge(game.discriminator, images, fakes, labels, game.loss, gamma)
    gradients_for(game.discriminator, loss, game.trainer)
    game.optimizers()[1].optimizer.step()  # not through Lightning, which would count it
    log_terms(game, "train", parts, len(images))


def averaged(player: nn.Module, decay: float) -> AveragedModel:
    """A copy whose weights are the moving average of the player's, over some tenth of the steps until `decay` is reached."""

    def average(mean: Tensor, new: Tensor, steps: Any) -> Tensor:
        return mean.lerp(new, max(1 - decay, 9 / (10 + int(steps))))

    return AveragedModel(player, avg_fn=average).requires_grad_(False)


def check_precision(trainer: Trainer) -> None:
    """ValueError for float16, whose scaled gradients Lightning would look for."""
    if str(trainer.precision).startswith("16"):
        raise ValueError(f"a GAN expected --trainer.precision 32-true or bf16-mixed, got {trainer.precision}")
