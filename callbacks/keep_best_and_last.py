"""Which checkpoints a run keeps."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class KeepBestAndLast(ModelCheckpoint):
    """Lightning's ModelCheckpoint, but for three things.

    `last.ckpt` is the last model also after an epoch that was not the best: Lightning 2.6 writes it only where it has written the best one
    too, and a run that no longer improves would be resumed from where it still did. It is there before the first step, so that there is
    one to resume from whenever a run is killed, and a folder that cannot be written to is known at once. And the curves are on the disk as
    far as a checkpoint goes: a resumed run logs what comes after it, and only that.
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
        if due and not self._should_skip_saving_checkpoint(trainer):  # it is skipped where this step has been saved
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))


def save_last(trainer: Trainer) -> None:
    """Save `last.ckpt` now; Lightning will not write it again at this step."""
    trainer.save_checkpoint(last_checkpoint(trainer), weights_only=False)  # unsaid, it is said on the terminal
    if isinstance(trainer.checkpoint_callback, ModelCheckpoint):
        trainer.checkpoint_callback._last_global_step_saved = trainer.global_step


def last_checkpoint(trainer: Trainer) -> Path:
    callback = trainer.checkpoint_callback
    folder = getattr(callback, "dirpath", None) or Path(trainer.default_root_dir) / "checkpoints"
    return Path(folder) / "last.ckpt"
