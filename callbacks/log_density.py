"""How well each latent density knows codes that it was not fitted to."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.figures.figure import check_needs, looking
from lit_models.contracts import CanEncode, HasPriors, HasTrainingCodes


class LogDensity(Callback):
    """Logs `val/log_density_NAME`, nats a code, the mean over the codes of `n` validation images, for each latent density.

    The higher, the more of the codes the density knows; comparable between densities of one model at one time, not between models.
    """

    def __init__(self, n: int = 1000) -> None:
        self.n = n

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            check_needs("LogDensity", (CanEncode, HasPriors, HasTrainingCodes), trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        images, _ = trainer.datamodule.reference_images("val", self.n)
        with looking(pl_module):
            codes = torch.cat([pl_module.encode(part.to(pl_module.device, pl_module.dtype)) for part in images.split(500)])
        values = {
            f"val/log_density_{name}": pl_module.training_codes.density(name, codes.shape[1]).log_density(codes).mean().float()
            for name in pl_module.priors
        }
        pl_module.log_dict(values, sync_dist=True)  # the same on all processes: the average of equal numbers
