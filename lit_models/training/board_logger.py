"""TensorBoard without the curve of the epoch."""

from collections.abc import Mapping

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import TensorBoardLogger


class Board(TensorBoardLogger):
    """Lightning's TensorBoardLogger without its curve `epoch`, which would come before all others."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)
