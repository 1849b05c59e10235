"""The checkpoints that a run keeps."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class KeepBestAndLast(ModelCheckpoint):
    """Lightning's ModelCheckpoint with three differences.

    `last.ckpt` is also the last model after an epoch that was not the best: Lightning 2.6 writes it only when it writes the best one too,
    so that a run that no longer improves would be resumed from an earlier epoch. `last.ckpt` exists before the first step, so that a run
    can be resumed whenever it was killed, and so that a folder without write access is known at once. Loggers are flushed at each save: a
    resumed run logs what comes after its checkpoint, and only that.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.save_last and trainer.ckpt_path is None and not trainer.fast_dev_run:
            save_last(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        for logger in trainer.loggers:
            logger.save()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self._should_save_on_train_epoch_end(trainer):
            self._keep_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if not self._should_save_on_train_epoch_end(trainer):
            self._keep_last(trainer)

    def _keep_last(self, trainer: Trainer) -> None:
        due = self.save_last and self._every_n_epochs and (trainer.current_epoch + 1) % self._every_n_epochs == 0
        if due and not self._should_skip_saving_checkpoint(trainer):  # skipped if this step has been saved
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))


def save_last(trainer: Trainer) -> None:
    """Save `last.ckpt` now; Lightning will not write it again at this step."""
    trainer.save_checkpoint(last_checkpoint(trainer), weights_only=False)  # else Lightning prints that it is the default
    if isinstance(trainer.checkpoint_callback, ModelCheckpoint):
        trainer.checkpoint_callback._last_global_step_saved = trainer.global_step


def last_checkpoint(trainer: Trainer) -> Path:
    callback = trainer.checkpoint_callback
    folder = getattr(callback, "dirpath", None) or Path(trainer.default_root_dir) / "checkpoints"
    return Path(folder) / "last.ckpt"
