"""Randomness as a function of the step, so that a resumed run draws the same noise as an uninterrupted one."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from datamodules.loader import seeded


class SeedEachStep(Callback):
    """Seeds the default generators before each training batch from (seed, step, rank), so that no random state needs to be saved.

    Each rank has its own noise; Lightning's DDP gives all ranks the same. Before each batch of an evaluation the generators are seeded from
    (seed, batch, rank), so that its noise is the same at every epoch.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._seed(pl_module, 0, trainer.global_step, trainer.global_rank)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._seed(pl_module, 1, batch_idx, trainer.global_rank)

    on_test_batch_start = on_validation_batch_start

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict["seed"] != self.seed:
            raise ValueError(
                f"the checkpoint's run drew its noise with SeedEachStep.seed={state_dict['seed']}, this one has {self.seed}:"
                f" resume with {state_dict['seed']}, or start anew"
            )

    def _seed(self, pl_module: LightningModule, *place: int) -> None:
        number = seeded(self.seed, *place).initial_seed()
        torch.random.default_generator.manual_seed(number)  # torch.manual_seed takes 200 times as long
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(number)
        elif pl_module.device.type == "mps":
            torch.mps.manual_seed(number)
