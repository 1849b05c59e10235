"""What models log, and a metrics.csv that a resumed run goes on writing."""

import csv
from collections.abc import Mapping
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
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


class _Continuing(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Keep an existing file and its columns, where Lightning would delete it."""
        file = Path(self.metrics_file_path)
        if file.is_file():
            with file.open(newline="") as stream:
                self.metrics_keys = list(csv.DictReader(stream).fieldnames or [])


class MetricsCSV(CSVLogger):
    """Lightning's CSVLogger, but for one thing: it appends to the metrics.csv it finds."""

    _experiment: ExperimentWriter | None

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        if self._experiment is None:
            self._experiment = _Continuing(log_dir=self.log_dir)
        return self._experiment
