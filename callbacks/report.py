"""The messages of a run at its start and its end, and what it tells TensorBoard of itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from datamodules.contracts import HasImages
from lit_models import MODELS
from lit_models.contracts import CanDecode, CanReconstruct, CanSample, HasAnchors, HasTrainingCodes
from lit_models.training.fixed_images import data_name


class Report(Callback):
    """Prints folder, device, data set and size at the start; the best metric, the last grid and the next commands at the end.

    Hyperparameters go to TensorBoard's HPARAMS.
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
            self._record(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        kept = trainer.checkpoint_callback
        if not trainer.is_global_zero or not isinstance(kept, ModelCheckpoint):
            return
        folder = run_folder(trainer)
        print()
        if kept.best_model_score is not None:
            print(f"best     {kept.monitor} {float(kept.best_model_score):.4f}")
        grids = sorted((folder / "figures" / "samples" / "grid").glob("*.png"))
        if grids:
            print(f"grid     {shown(grids[-1])}")
        for number, command in enumerate(next_commands(pl_module, trainer.datamodule, shown(folder))):
            print(f"{'' if number else 'next':9}{command}", flush=True)

    def _record(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = dict(trainer.datamodule.hparams_initial) if trainer.datamodule else {}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                record_hyperparameters(logger.experiment, {"model": type(pl_module).__name__, **data, **pl_module.hparams_initial})


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


def record_hyperparameters(writer: SummaryWriter, parameters: dict[str, Any]) -> None:
    """Give a run its line in HPARAMS. Its values are the newest points of the run's curves, so no chart of its own is needed."""
    plain = {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in parameters.items()}
    _, beginning, end = hparams(plain, {})  # the first would fix the columns for all runs: lightning board writes it
    for summary in (beginning, end):
        writer.file_writer.add_summary(summary)


def run_folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir)


def shown(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
