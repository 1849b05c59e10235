"""What models log."""

from collections.abc import Mapping

from lightning.pytorch import LightningModule
from torch import Tensor


def log_terms(module: LightningModule, stage: str, terms: Mapping[str, Tensor], images: int) -> None:
    """`module.log_dict` of a batch's terms as `stage/term`: in training as they are, in evaluation for means over images and processes.

    Training logs only on the steps that Lightning passes on to the loggers (`log_every_n_steps`): its bookkeeping takes half a
    millisecond a value, and on all steps would add a fifteenth to the time of the autoencoder's. The newest terms of training are in
    `module.last_terms`.
    """
    if stage == "train":
        module.last_terms = getattr(module, "last_terms", {}) | {name: value.detach() for name, value in terms.items()}
    if stage != "train" or module._trainer is None or module.trainer._logger_connector.should_update_logs:
        # Lightning averages the sizes that processes weigh with as whole numbers: 72 and 71 images would count as 2 x 71.
        processes = 1 if stage == "train" or module._trainer is None else module.trainer.world_size
        module.log_dict(
            {f"{stage}/{name}": value for name, value in terms.items()}, sync_dist=stage != "train", batch_size=images * processes
        )
