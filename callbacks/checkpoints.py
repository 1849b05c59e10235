"""Which checkpoints a run keeps."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class KeepBestAndLast(ModelCheckpoint):
    """Lightning's ModelCheckpoint, whose `last.ckpt` is the last model also after an epoch that was not the best.

    Lightning 2.6 writes it only where it has written the best one too: a run that no longer improves would be resumed from where it
    still did.
    """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        due = self.save_last and not self._should_save_on_train_epoch_end(trainer) and not self._should_skip_saving_checkpoint(trainer)
        if due:  # it is skipped where this step has been saved
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
