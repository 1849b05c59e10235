"""Ctrl-C and SIGTERM end the batch, leave a checkpoint, and end the program with a non-zero exit code."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed as dist

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopOnSignal(Callback):
    """Saves `last.ckpt` at the end of the batch in which SIGINT, SIGTERM or SIGUSR1 came; exit code 128 + signal.

    The handler only sets a flag: what Lightning does inside its own, a collective, hangs under DDP. The processes agree at
    the end of each batch, so that a signal to any of them stops all. A second Ctrl-C ends the program at once.
    """

    def __init__(self) -> None:
        self._received = self._stop = 0
        self._before: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._received = self._stop = 0
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._stop = self._agreed(pl_module)
        # After the last batch of an epoch comes validation, and with it the checkpoint of the whole epoch.
        if self._stop and not trainer.is_last_batch:
            trainer.save_checkpoint(last_checkpoint(trainer))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._leave(trainer)  # only now: the loggers write after `on_train_batch_end`

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._leave(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()
        self._leave(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _agreed(self, pl_module: LightningModule) -> int:
        if not (dist.is_available() and dist.is_initialized()):
            return self._received
        flag = torch.tensor(self._received, device=pl_module.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return int(flag)

    def _leave(self, trainer: Trainer) -> None:
        if not self._stop:
            return
        number, self._stop = self._stop, 0
        for logger in trainer.loggers:
            logger.save()
        if trainer.is_global_zero:
            name, file = signal.Signals(number).name, last_checkpoint(trainer)
            print(f"\nstopped by {name} after {trainer.global_step} steps; go on with --ckpt_path {file}", flush=True)
        raise SystemExit(128 + number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def last_checkpoint(trainer: Trainer) -> Path:
    callback = trainer.checkpoint_callback
    folder = getattr(callback, "dirpath", None) or Path(trainer.default_root_dir) / "checkpoints"
    return Path(folder) / "last.ckpt"
