"""What a run says at its start and its end, and what HPARAMS compares."""

import math
import warnings
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from lit_models.evaluation import HEADLINES


class Report(Callback):
    """Prints folder, device, data set and size first, the best metric, the last grid and the next commands last.

    Hyperparameters go to TensorBoard's HPARAMS with the best validation metrics, under `best/...`.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        folder = run_folder(trainer)
        parameters = sum(parameter.numel() for parameter in pl_module.parameters())
        devices = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
        dataset = getattr(trainer.datamodule, "dataset", type(trainer.datamodule).__name__)
        print(f"run      {folder}")
        print(f"model    {type(pl_module).__name__}, {parameters:,} parameters, on {devices}{trainer.strategy.root_device}")
        print(f"data     {dataset}")
        print(f"look     lightning board {shown(folder.parent.parent)}", flush=True)
        if trainer.ckpt_path is None:  # a resumed run has its line in HPARAMS already
            self._hparams(trainer, pl_module, math.nan)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        kept = trainer.checkpoint_callback
        if not trainer.is_global_zero or not isinstance(kept, ModelCheckpoint):
            return
        folder = run_folder(trainer)
        print()
        if kept.best_model_score is not None:
            score, step = float(kept.best_model_score), trainer.fit_loop.epoch_loop._batches_that_stepped
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.log_metrics({f"best/{kept.monitor}": score}, step)
            print(f"best     {kept.monitor} {score:.4f}")
        grids = sorted((folder / "figures" / "samples" / "grid").glob("*.png"))
        if grids:
            print(f"grid     {shown(grids[-1])}")
        print(f"next     lightning sample {shown(folder)} --output samples.png", flush=True)
        print(f"         lightning test {shown(folder)}", flush=True)

    def _hparams(self, trainer: Trainer, pl_module: LightningModule, score: float) -> None:
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and monitor:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="NaN or Inf found in input tensor")
                    data = dict(trainer.datamodule.hparams_initial) if trainer.datamodule else {}
                    params = {"model": type(pl_module).__name__, **data, **pl_module.hparams_initial}
                    tested = {f"test/{name}": math.nan for name in HEADLINES}  # lightning test fills them in
                    logger.log_hyperparams(params, {f"best/{monitor}": score} | tested)


def run_folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir)


def shown(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
