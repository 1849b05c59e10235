"""The messages of a run at its start and its end, and the values by which HPARAMS compares runs."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.model_helpers import is_overridden

from datamodules.contracts import HasImages
from lit_models import MODELS
from lit_models.contracts import CanDecode, CanReconstruct, CanSample, HasAnchors, HasTrainingCodes
from lit_models.evaluation import HEADLINES
from lit_models.training.fixed_images import data_name


class Report(Callback):
    """Prints folder, device, data set and size at the start; the best metric, the last grid and the next commands at the end.

    Hyperparameters go to TensorBoard's HPARAMS with the best validation metrics, under `best/...`.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        folder = run_folder(trainer)
        parameters = sum(parameter.numel() for parameter in pl_module.parameters())
        devices = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
        print(f"run      {folder}")
        print(f"model    {type(pl_module).__name__}, {parameters:,} parameters, on {devices}{trainer.strategy.root_device}")
        print(f"data     {data_name(trainer)}")
        print(f"look     lightning board {shown(folder.parent.parent)}", flush=True)
        if trainer.ckpt_path is None:  # the line of a resumed run in HPARAMS exists already
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
        for number, command in enumerate(next_commands(pl_module, trainer.datamodule, shown(folder))):
            print(f"{'' if number else 'next':9}{command}", flush=True)

    def _hparams(self, trainer: Trainer, pl_module: LightningModule, score: float) -> None:
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="NaN or Inf found in input tensor")
                    data = dict(trainer.datamodule.hparams_initial) if trainer.datamodule else {}
                    params = {"model": type(pl_module).__name__, **data, **pl_module.hparams_initial}
                    measured = {f"{stage}/{name}": math.nan for stage in ("final", "test") for name in HEADLINES}  # by lightning test
                    logger.log_hyperparams(params, ({f"best/{monitor}": score} if monitor else {}) | measured)


def next_commands(model: LightningModule, data: LightningDataModule | None, run: str) -> Iterator[str]:
    """The commands that can be used with this model and data; classes of the user's own have to be imported by name."""
    ours = f"{type(model).__module__}.{type(model).__name__}" in MODELS.values()
    modules = [] if ours else [type(model).__module__]
    if "__main__" in modules:  # no command can import it
        return
    own = "".join(f" --import {module}" for module in modules)
    if isinstance(model, CanSample):
        yield f"lightning sample {run}{own} --output samples.png"
    elif isinstance(model, CanDecode) and isinstance(model, HasAnchors | HasTrainingCodes):
        yield f"lightning sample {run}{own} --noise 0.5 --output samples.png"
    measurable = is_overridden("test_step", model) or isinstance(model, CanReconstruct | CanSample)
    if measurable and isinstance(data, HasImages):
        module = type(data).__module__
        of_data = "" if module.startswith("datamodules.") or module in modules else f" --import {module}"
        yield f"lightning test {run}{own}{of_data}"


def run_folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir)


def shown(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
