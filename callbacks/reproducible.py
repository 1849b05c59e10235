"""What makes a training outside the command exactly resumable."""

from typing import Any

from callbacks.keep_best_and_last import KeepBestAndLast
from callbacks.seed_each_step import SeedEachStep
from callbacks.stop_on_signal import StopOnSignal
from callbacks.stop_when_not_finite import StopWhenNotFinite
from lit_models.checkpoints.atomic_io import AtomicCheckpointIO


def reproducible(seed: int = 0, monitor: str | None = None) -> dict[str, Any]:
    """Arguments for a Trainer whose runs can be resumed exactly: `Trainer(max_epochs=3, **reproducible())`.

    `last.ckpt` exists from before the first step on, in the folder `checkpoints` of the run. A run that was stopped anywhere, also by
    Ctrl-C or SIGTERM, and resumed by `fit(..., ckpt_path=FILE)` has the weights of an uninterrupted run, bit for bit. That holds for a
    data module of `datamodules`, whose loaders have a state. torch's DataLoader has none: such a run resumes at the start of an epoch, in
    another order.

    Args:
        seed: Seed of all noise in training. `lightning.seed_everything` seeds the weights, before the model is made.
        monitor: The validation metric by which `checkpoints/best.ckpt` is chosen; None keeps `last.ckpt` alone.
    """
    keep = KeepBestAndLast(
        monitor=monitor, filename="best", save_last=True, save_top_k=1 if monitor else 0, enable_version_counter=False,
        auto_insert_metric_name=False,
    )  # fmt: skip
    return {"callbacks": [SeedEachStep(seed), StopOnSignal(), StopWhenNotFinite(), keep], "plugins": [AtomicCheckpointIO()]}
