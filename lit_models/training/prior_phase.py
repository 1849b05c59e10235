"""The second phase of a run: a prior over the codes of an autoencoder that is trained no more.

Each image of a batch is encoded once, and its code is used several times, with other noise: the prior is small, and a larger batch helps
it more than more batches.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lit_models.contracts import HasPosterior
from lit_models.sampling.evaluation_mode import evaluation_mode
from lit_models.training.batches import images_of, labelled_images_of
from lit_models.training.fixed_images import fixed_images
from lit_models.training.logging import log_terms
from lit_models.training.phases import forget_logged_values, phase_begins, phase_of, phase_schedule, split_steps, zero_of
from lit_models.training.schedules import adam, training_steps

REPEATS = 8  # of the code of each image in a batch
IMAGES = 10_000  # from which the scale of the codes is found
FIRST_SHARE = 0.4  # of the steps, for the autoencoder


def trains_prior(module: LightningModule) -> bool:
    """Whether the coming step trains the prior of this module, and not its autoencoder."""
    return module.prior is not None and phase_of(module) == 1


def adam_in_phases(
    module: LightningModule, parameters: list[nn.Parameter], steps: int | None, betas: tuple[float, float] = (0.9, 0.95)
) -> Any:
    """What `configure_optimizers` returns: `adam`, or the same with a second phase for the prior of the module, if it has one.

    Args:
        parameters: Of the autoencoder, whose learning rate is `module.lr`; the prior has `module.prior_lr`.
        steps: Of the autoencoder (None: 0.4 of the training); the prior has `module.prior_steps`.
    """
    if module.prior is None:
        return adam(parameters, module.lr, steps or training_steps(module), betas)
    groups = [{"params": parameters, "lr": module.lr}, {"params": list(module.prior.network.parameters()), "lr": module.prior_lr}]
    optimizer = torch.optim.Adam(groups, betas=betas, fused=True)
    schedule: LambdaLR = phase_schedule(optimizer, lengths_of_phases(module, steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def own_parameters(module: LightningModule) -> list[nn.Parameter]:
    """The parameters of the autoencoder: those of the module without its prior."""
    return [parameter for name, parameter in module.named_parameters() if not name.startswith("prior.")]


def lengths_of_phases(module: LightningModule, steps: int | None) -> list[int | None]:
    """Steps of the autoencoder and of the prior; None on resume, where the checkpoint knows them."""
    given = [steps, module.prior_steps]
    return given if None not in given else split_steps(training_steps(module), given, shares=[FIRST_SHARE, 1 - FIRST_SHARE])


def prior_step(module: LightningModule, batch: Any) -> Tensor:
    """The loss of a training step of the prior, on codes of a batch, averaged over it."""
    if phase_begins(module):
        forget_logged_values(module.trainer)
        fit_scale(module)
    module.prior.after_step()  # the weights of the step before
    images, labels = images_and_labels(module, batch)
    with torch.no_grad():
        codes = codes_of(module, images, REPEATS)
    loss = module.prior.loss(codes, None if labels is None else labels.repeat(REPEATS)).mean()
    log_terms(module, "train", {"loss": loss, "prior": loss}, len(images))
    return loss


def with_prior(module: LightningModule, batch: Any, terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """The terms of an evaluation and, if there is a prior, `prior`: its loss, averaged over the batch, which is added to `loss`."""
    if module.prior is None:
        return terms
    images, labels = images_and_labels(module, batch)
    prior = module.prior.loss(codes_of(module, images), labels).mean()
    return terms | {"prior": prior} | ({"loss": terms["loss"] + prior} if "loss" in terms else {})


def idle(module: LightningModule) -> Tensor | float:
    """Zero, with zero gradients for the parameters that the coming step does not train; DDP waits for them too."""
    if module.prior is None:
        return 0.0
    return zero_of(own_parameters(module) if trains_prior(module) else module.prior.network.parameters())


def codes_of(module: Any, images: Tensor, repeats: int = 1) -> Tensor:
    """The codes that a prior is to know, all images in turn `repeats` times, (repeats B, D).

    They are draws from the posterior, if the model has one, with noise from torch's default generator. Each image is encoded once.
    """
    if not isinstance(module, HasPosterior):
        return module.encode(images).repeat(repeats, 1)
    mean, log_var = (part.repeat(repeats, 1) for part in module.posterior(images))
    return mean + (0.5 * log_var).exp() * torch.randn_like(mean)


def fit_scale(module: LightningModule) -> None:
    """Find the scale of the codes from fixed training images: the same on all processes, and whenever a run is resumed."""
    images, labels = fixed_images(module.trainer, "train", IMAGES)
    with evaluation_mode(module):
        torch.random.default_generator.manual_seed(0)
        codes = torch.cat([codes_of(module, part.to(module.device, module.dtype)) for part in images.split(500)])
    module.prior.scale.fit(codes, None if labels is None else labels.to(module.device))


def images_and_labels(module: LightningModule, batch: Any) -> tuple[Tensor, Tensor | None]:
    """Images and labels of a batch; labels are needed from the first batch on if the prior of the module takes them."""
    classes = None if module.prior is None else module.prior.classes
    return images_of(module, batch) if classes is None else labelled_images_of(module, batch, classes)
