"""Held-out log-likelihood of each sampler."""

import math

import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.observer import Observer
from lit_models.contracts import CanEncode, HasCodeDistributions, HasSamplers, HasTrainingCodes
from lit_models.training.fixed_images import fixed_images


class LogDensity(Observer):
    """Logs `val/log_density_NAME` for each sampler: the mean log-density of the codes of `n` validation images, in nats per code.

    It is comparable between samplers of one model at one time, not between models. The density of a flow, which draws in steps, takes
    seconds: it is measured for the first `n_of_flow` codes only, without labels.
    """

    needs = (CanEncode, HasSamplers, HasTrainingCodes, HasCodeDistributions)

    def __init__(self, n: int = 1000, n_of_flow: int = 250) -> None:
        self.n, self.n_of_flow = n, n_of_flow

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.is_due(trainer):
            return
        values = {f"val/log_density_{name}": math.nan for name in pl_module.samplers}
        with self.observing(pl_module):
            images, _ = fixed_images(trainer, "val", self.n)
            codes = torch.cat([pl_module.encode(part.to(pl_module.device, pl_module.dtype)) for part in images.split(500)])
            for name in pl_module.samplers:
                with self.observing(pl_module):  # one that fails, as by lack of labels, leaves the others
                    density = pl_module.distribution(name)
                    some = codes[: self.n_of_flow] if hasattr(density, "steps") else codes
                    values[f"val/log_density_{name}"] = float(density.log_density(some).mean())
        pl_module.log_dict(values, sync_dist=True)  # the same on all processes: the average of equal numbers
