"""Saves a model at fixed numbers of images, with the time that training has taken until then."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_models.training.batches import images_of


class Snapshots(Callback):
    """Saves `snapshots/images_N.ckpt` in the run's folder after the batch in which the number of images seen reaches N, for each N.

    Every checkpoint gets `trained`: the images seen, and the seconds spent in training batches. The seconds leave out validation, figures,
    metrics, saving and start-up, and batches that were lost when a run stopped between two checkpoints. They are noted for no N, too.
    """

    def __init__(self, at_images: Sequence[int] = ()) -> None:
        if min(at_images, default=1) < 1:
            raise ValueError(f"at_images expected numbers of images of at least 1, got {at_images}")
        self.at_images = sorted(at_images)
        self.images, self.seconds, self._began = 0, 0.0, 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seconds += time.perf_counter() - self._began
        before = self.images
        self.images += len(images_of(pl_module, batch)[0]) * trainer.world_size
        for due in self.at_images:
            if before < due <= self.images:
                file = Path(trainer.default_root_dir) / "snapshots" / f"images_{due:08d}.ckpt"
                trainer.save_checkpoint(file, weights_only=False)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["trained"] = {"images": self.images, "seconds": self.seconds}

    def state_dict(self) -> dict[str, Any]:
        return {"images": self.images, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.images, self.seconds = state_dict["images"], state_dict["seconds"]
