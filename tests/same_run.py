"""Comparison of two runs, and callbacks that stop a run."""

import csv
from pathlib import Path

from conftest import assert_equal, state_of
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

# `StopAt` stops a run from inside at a chosen step. Tests write this module next to the user's YAML, like a class of the user's own.
STOPPER = """
import hashlib, os, shutil
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import Timer

class StopAt(Callback):
    def __init__(self, step: int, signal: int = 15, how: str = "signal"):
        self.step, self.signal, self.how = step, signal, how

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step - 1:
            if self.how == "signal":
                os.kill(os.getpid(), self.signal)
            if self.how == "time":
                next(each for each in trainer.callbacks if isinstance(each, Timer))._duration = 1e-9
            if self.how == "exception":
                raise RuntimeError("stopped in training")

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        if trainer.global_step == self.step and self.how == "signal in validation":
            open("signalled", "w").close()
            os.kill(os.getpid(), self.signal)
        if self.how == "validation" and trainer.global_step >= self.step:
            raise RuntimeError("stopped in validation")


class KeepFirst(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 0:
            shutil.copy(trainer.checkpoint_callback.dirpath + "/last.ckpt", "first.ckpt")


class Witness(Callback):
    \"\"\"Writes down which images each epoch has seen.\"\"\"
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        with open("seen.txt", "a") as file:
            for image in batch[0]:
                digest = hashlib.sha256(image.numpy().tobytes()).hexdigest()[:16]
                file.write(f"{trainer.current_epoch} {digest}" + chr(10))
"""


def curves(run: Path) -> dict[tuple[str, int], list[float]]:
    """Values of each (tag, step) over all event files. More than one value means that the point was logged twice."""
    points: dict[tuple[str, int], list[float]] = {}
    for file in sorted(run.glob("events.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars" and not value.tag.startswith(("val/final/", "test/")):
                    points.setdefault((value.tag, event.step), []).append(float(tensor_util.make_ndarray(value.tensor)))
    return points


def pictures(run: Path) -> list[tuple[str, int]]:
    found = []
    for file in sorted(run.glob("events.*")):
        for event in EventFileLoader(str(file)).Load():
            found += [(value.tag, event.step) for value in event.summary.value if value.metadata.plugin_data.plugin_name == "images"]
    return sorted(found)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as stream:
        return [{key: value for key, value in row.items() if value != ""} for row in csv.DictReader(stream)]


def assert_same_run(first: Path, second: Path) -> None:
    kept = [sorted(file.name for file in (run / "checkpoints").iterdir()) for run in (first, second)]
    assert kept[0] == kept[1]
    assert "last.ckpt" in kept[0]
    for name in kept[0]:
        assert_equal(state_of(first / "checkpoints" / name), state_of(second / "checkpoints" / name))
    one, other = curves(first), curves(second)
    assert one
    assert one == other
    # Lightning logs the epoch with the metrics of training and again with those of validation.
    assert all(len(values) == 1 for (tag, _), values in one.items() if tag != "epoch")
    assert rows(first) == rows(second)


OFTEN = ["--trainer.log_every_n_steps=1"]
WITNESS = ["--trainer.callbacks+=stopper.Witness"]


def seen_images() -> list[str]:
    """Epoch and digest of each training image used since the last call, sorted."""
    file = Path("seen.txt")
    lines = file.read_text().splitlines()
    file.unlink()
    return sorted(lines)
