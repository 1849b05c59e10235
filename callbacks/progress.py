"""What a training prints while it runs: one line per epoch and per phase, and in a terminal a bar below these lines."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from lit_models.training.phases import starts_of_phases


class Progress(TQDMProgressBar):
    """Prints the losses, the seconds and the time left after each epoch; a terminal has Lightning's progress bar in addition.

    A log file gets the lines alone, because a bar would write each of its states into it.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate if sys.stdout.isatty() else 0)
        self.seconds: list[float] = []  # per epoch of this process

    def init_train_tqdm(self) -> Tqdm:
        bar = super().init_train_tqdm()
        bar.leave = False  # the lines stay, the bar does not
        return bar

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, int | str | float | dict[str, float]]:
        return {name: f"{value:.4g}" for name, value in losses(trainer).items()}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.began = time.monotonic()  # a run that is resumed inside an epoch starts none
        self.phases = starts_of_phases(pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_start(trainer)
        self.began = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if trainer.is_global_zero and trainer.global_step in self.phases[1:]:
            number = self.phases.index(trainer.global_step) + 1
            self.print(
                f"phase    {number}/{len(self.phases)}: the autoencoder is kept as it is, and train/loss is that of a prior over its codes"
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        self.seconds.append(time.monotonic() - self.began)
        if trainer.is_global_zero:
            self.print(self.line(trainer))

    def line(self, trainer: Trainer) -> str:
        """Such as `epoch    2/10   train/loss 84.31   val/loss 82.1   12 s, 96 s left`."""
        epoch, last = trainer.current_epoch + 1, trainer.max_epochs
        known = last is not None and last > 0
        left = f", {duration((last - epoch) * sum(self.seconds) / len(self.seconds))} left" if known and epoch < last else ""
        found = "".join(f"{name} {value:.4g}   " for name, value in losses(trainer).items())
        return f"epoch    {epoch}{f'/{last}' if known else ''}   {found}{duration(self.seconds[-1])}{left}"

    def print(self, *arguments: object, **options: object) -> None:
        if self.is_enabled and sys.stdout.isatty():
            super().print(*arguments, **options)
        else:
            print(*arguments, flush=True)


def losses(trainer: Trainer) -> dict[str, float]:
    """The newest losses by name. A model without `train/loss`, such as a GAN, has the first two of its other terms."""
    newest = trainer.callback_metrics
    terms = sorted(name for name in newest if name.startswith("train/"))
    monitored = getattr(trainer.checkpoint_callback, "monitor", None)
    wanted = [*(["train/loss"] if "train/loss" in terms else terms[:2]), "val/loss" if "val/loss" in newest else monitored]
    return {name: float(newest[name]) for name in wanted if name in newest}


def duration(seconds: float) -> str:
    """Such as `8 s`, `12 min` or `1.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
