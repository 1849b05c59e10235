"""Warns when a model has collapsed in a way that its loss does not show, and says which option helps."""

import sys
from typing import NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer


class Sign(NamedTuple):
    """A collapse is a `metric` below `least` in a run that also logs the metric `present`."""

    metric: str
    least: float
    present: str
    message: str


SIGNS = (
    Sign("val/kl", 0.5, "val/kl", "the posterior has collapsed: a code carries {value:.2f} nats about its image; lower --model.beta, or set"
         " --model.kl_warmup_steps 1000"),
    Sign("val/codes_used", 0.1, "val/codes_used", "the codebook has collapsed: {value:.0%} of its codes are in use; raise"
         " --model.revive_below, or lower --model.lr"),
    Sign("val/variance", 0.3, "val/accuracy_fake", "the generator has collapsed: its samples vary {value:.2f} times as much as real images;"
         " lower --model.lr, or raise --model.gamma"),
)  # fmt: skip


class WarnOfCollapse(Callback):
    """Prints one line on standard error after the first validation that shows a collapse of the posterior, the codebook or the generator.

    Args:
        after_steps: Earlier signs belong to the beginning of training and are no collapse.
    """

    def __init__(self, after_steps: int = 400) -> None:
        self.after_steps = after_steps
        self.warned_of: set[str] = set()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.global_step < self.after_steps or not trainer.is_global_zero:
            return
        for sign in SIGNS:
            if not {sign.metric, sign.present} <= trainer.callback_metrics.keys() or sign.metric in self.warned_of:
                continue
            value = float(trainer.callback_metrics[sign.metric])
            if value < sign.least:
                self.warned_of.add(sign.metric)
                print(f"warning  {sign.message.format(value=value)}", file=sys.stderr, flush=True)
