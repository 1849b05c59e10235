"""How models log their loss terms."""

from collections.abc import Mapping

from lightning.pytorch import LightningModule
from torch import Tensor


def log_terms(module: LightningModule, stage: str, terms: Mapping[str, Tensor], images: int) -> None:
    """Log the terms of a batch of `images` images as `stage/term`.

    Training values are logged as they are; evaluation values are averaged over images and processes. Training values are logged only at
    the steps that Lightning passes on to the loggers (`log_every_n_steps`) and at the last step of an epoch, because Lightning takes half
    a millisecond per value. The newest training values are in `module.last_terms`.
    """
    trainer = module._trainer
    if stage == "train":
        module.last_terms = getattr(module, "last_terms", {}) | {name: value.detach() for name, value in terms.items()}
        if trainer is not None and not (trainer._logger_connector.should_update_logs or trainer.is_last_batch):
            return
    # Lightning rounds the weights of processes to whole numbers: 72 and 71 images would count as 2 x 71.
    processes = 1 if stage == "train" or trainer is None else trainer.world_size
    module.log_dict({f"{stage}/{name}": value for name, value in terms.items()}, sync_dist=stage != "train", batch_size=images * processes)
