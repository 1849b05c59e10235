"""Ctrl-C, SIGTERM and the end of `--trainer.max_time` end the batch, leave a checkpoint, and end the program."""

import signal
import threading
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer, WeightAveraging
from torch import distributed as dist

from callbacks.keep_best_and_last import last_checkpoint, save_last
from lit_models.training.distributed import is_distributed, reduce_over_processes

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
TIME_LIMIT = 1  # means the end of the time among the numbers of signals; SIGHUP, which has this number, is not handled here


class StopOnSignal(Callback):
    """Saves `last.ckpt` at the end of the batch in which SIGINT, SIGTERM or SIGUSR1 arrives, and exits with code 128 + signal.

    It does the same at the end of `--trainer.max_time`, with exit code 0: Lightning would count the epoch as complete, and the rest of it
    would be lost on resume. At the end of `--trainer.max_steps` within an epoch it saves too, and the run ends as usual. A validation is
    left after the current batch or figure, and a resumed run starts it again.

    The handler only sets a flag: Lightning's own handler runs a collective, which hangs under DDP. The processes agree at the end of each
    batch, so that a signal to one of them stops all. A second Ctrl-C ends the program at once.
    """

    def __init__(self) -> None:
        self._received = self._stop = 0
        self._saved = False
        self._before: dict[signal.Signals, Any] = {}
        self._timer: Timer | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._received = self._stop = 0
        self._saved = False
        self._timer = next((callback for callback in trainer.callbacks if isinstance(callback, Timer)), None)
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._timer is not None and (self._timer.time_remaining() or 1.0) < 0 and not self._received:
            self._received = TIME_LIMIT
        self._stop = self._agreed(pl_module)
        at_the_end = trainer.global_step == trainer.max_steps
        if (self._stop or at_the_end) and not validation_follows(trainer):
            save_last(trainer)
            self._saved = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._leave(trainer)  # not earlier: the loggers write after `on_train_batch_end`

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._saved:  # Lightning validates at the end of the time, but the validation of the whole epoch is still to come
            self._leave(trainer)
        if trainer.state.fn == "fit":
            # Otherwise later checkpoints would still be marked as saved within a validation.
            validation_progress(trainer).total.reset_on_restart()

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        self.leave_validation(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.leave_validation(trainer, pl_module)

    def leave_validation(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run within a validation if a signal has come. Every process has to call it."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.global_step == trainer.max_steps:
            return  # at the end of the steps Lightning would not validate on resume
        if any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks):
            return  # it has swapped the weights for this validation: a checkpoint would hold them in the wrong place
        self._stop = self._agreed(pl_module)
        if self._stop:
            save_before_validation(trainer)
            self._leave(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._leave(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()
        self._leave(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _agreed(self, pl_module: LightningModule) -> int:
        if not is_distributed():  # without a tensor: a GPU would synchronise at every step
            return self._received
        return int(reduce_over_processes(torch.tensor(self._received, device=pl_module.device), op=dist.ReduceOp.MAX))

    def _leave(self, trainer: Trainer) -> None:
        if not self._stop:
            return
        number, self._stop = self._stop, 0
        for logger in trainer.loggers:
            logger.save()
        if trainer.is_global_zero:
            cause = "--trainer.max_time" if number == TIME_LIMIT else signal.Signals(number).name
            last = last_checkpoint(trainer)
            command = "lightning fit --ckpt_path" if (last.parents[1] / "config.yaml").is_file() else "ckpt_path"
            print(f"\nstopped by {cause} after {trainer.global_step} steps; to resume: {command} {last}", flush=True)
        raise SystemExit(0 if number == TIME_LIMIT else 128 + number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def validation_progress(trainer: Trainer) -> Any:
    return trainer.fit_loop.epoch_loop.val_loop.batch_progress


def save_before_validation(trainer: Trainer) -> None:
    """Save `last.ckpt` from within a validation, so that a resumed run does the whole validation: it trains nothing.

    On resume Lightning starts a validation again whose first batch was started and not processed.
    """
    progress = validation_progress(trainer)
    for name in vars(progress.total):
        setattr(progress.total, name, getattr(progress.total, name) - getattr(progress.current, name))
    progress.current.reset()
    progress.increment_ready()
    progress.increment_started()
    save_last(trainer)


def validation_follows(trainer: Trainer) -> bool:
    """Whether Lightning validates after this batch: the last of an epoch as a rule, one inside it by `val_check_interval`."""
    return trainer.fit_loop.epoch_loop._should_check_val_fx(trainer.fit_loop._data_fetcher)
