"""Which checkpoints a run keeps."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class KeepBestAndLast(ModelCheckpoint):
    """Lightning's ModelCheckpoint, whose `last.ckpt` is the last model also after an epoch that was not the best.

    Lightning 2.6 writes it only where it has written the best one too: a run that no longer improves would be resumed from where it
    still did.
    """

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
