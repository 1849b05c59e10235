"""A metrics.csv that a resumed run continues."""

import csv
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


class _Continuing(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Keep an existing file and its columns; Lightning would delete it."""
        file = Path(self.metrics_file_path)
        if file.is_file():
            with file.open(newline="") as stream:
                self.metrics_keys = list(csv.DictReader(stream).fieldnames or [])


class MetricsCSV(CSVLogger):
    """Lightning's CSVLogger, which appends to an existing metrics.csv."""

    _experiment: ExperimentWriter | None

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        if self._experiment is None:
            self._experiment = _Continuing(log_dir=self.log_dir)
        return self._experiment
