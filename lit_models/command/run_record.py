"""The callback that records what a run is, in its folder and in its checkpoints."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lit_models.training.fixed_images import data_name
from lit_models.training.schedules import set_base_rates


class RunRecord(SaveConfigCallback):
    """Writes config.yaml into the run's folder, and into each checkpoint the class and the data that it belongs to.

    A resumed run has the learning rates of its config, where Lightning would restore the saved ones; and the schedule lengths of its
    config, where these are given. `claimed` is the folder that this process made, `begun` whether a batch has been trained in it.
    """

    claimed: Path | None = None
    begun = False
    schedules: tuple[tuple[list[float], list[int | None]], ...] = ()
    rates: tuple[list[float], ...] = ()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            config = self.config.clone()
            config.ckpt_path = config.weights = None  # what the run is, not how this part of it was started
            file = Path(trainer.default_root_dir) / self.config_filename
            file.parent.mkdir(parents=True, exist_ok=True)
            # Link targets are what the data has decided: the record of a run contains them.
            file.write_text(self.parser.dump(config, skip_unset=False, skip_link_targets=False))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep rates and lengths before anything is restored."""
        self.schedules = tuple(
            (list(schedule.base_lrs), [getattr(part, "steps", None) for part in schedule.lr_lambdas]) for schedule in schedules_of(trainer)
        )
        self.rates = tuple([group["lr"] for group in optimizer.param_groups] for optimizer in unscheduled(trainer))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path:
            for optimizer, rates in zip(unscheduled(trainer), self.rates, strict=True):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate
            for schedule, (rates, lengths) in zip(schedules_of(trainer), self.schedules, strict=True):
                for part, steps in zip(schedule.lr_lambdas, lengths, strict=True):
                    if steps is not None:
                        part.steps = steps
                set_base_rates(schedule, rates)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        RunRecord.begun = True

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = {
            "model": self.config.model.class_path,
            "data": self.config.data.class_path,
            "dataset": data_name(trainer),
            "seed": self.config.seed_everything,
        }


def unscheduled(trainer: Trainer) -> list[Optimizer]:
    """Optimisers whose learning rates no schedule changes."""
    scheduled = [config.scheduler.optimizer for config in trainer.lr_scheduler_configs]
    return [optimizer for optimizer in trainer.optimizers if not any(optimizer is each for each in scheduled)]


def schedules_of(trainer: Trainer) -> list[LambdaLR]:
    return [config.scheduler for config in trainer.lr_scheduler_configs if isinstance(config.scheduler, LambdaLR)]
