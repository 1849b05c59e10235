"""What figures and measures of a model in training share: they need verbs, they are left out where one is missing, and end no training."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import UnionType
from typing import ClassVar, get_args

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.stop_on_signal import StopOnSignal
from lit_models.contracts import members
from lit_models.sampling.evaluation_mode import evaluation_mode


class Observer(Callback):
    """Looks at the model after validations, in evaluation mode, and leaves training untouched.

    `needs` are verbs of `lit_models.contracts`. An observer whose model lacks one is left out, which is said when training begins. One that
    fails is left out of this epoch, which is said once.
    """

    needs: ClassVar[tuple[type | UnionType, ...]] = ()
    missing: str = ""  # why it is left out

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.missing = self.what_is_missing(trainer, pl_module)
        self._said: set[str] = set()

    def what_is_missing(self, trainer: Trainer, pl_module: LightningModule) -> str:
        """Why this model cannot be observed; empty if it can."""
        for verb in self.needs:
            if not isinstance(pl_module, verb):
                kinds = get_args(verb) or (verb,)
                either = [", ".join(sorted(name for name in members(kind) if not hasattr(pl_module, name))) for kind in kinds]
                return f"{type(pl_module).__name__} lacks {' or '.join(either)}"
        return ""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        observers = [callback for callback in trainer.callbacks if isinstance(callback, Observer)]
        if trainer.is_global_zero and observers[0] is self:  # one for all
            for sentence in left_out(trainer, observers):
                print(sentence, flush=True)

    def is_due(self, trainer: Trainer) -> bool:
        """Whether a validation of a training is to be observed; every process has to ask. If a signal has come, the run ends here."""
        due = not self.missing and trainer.state.fn == "fit" and not trainer.sanity_checking
        for callback in trainer.callbacks if due else ():
            if isinstance(callback, StopOnSignal):
                callback.leave_validation(trainer, trainer.lightning_module)
        return due

    @contextmanager
    def observing(self, pl_module: LightningModule) -> Iterator[None]:
        """Evaluation mode; an error is said once and ends nothing."""
        try:
            with evaluation_mode(pl_module):
                yield
        except Exception as error:
            reason = f"{type(self).__name__} is left out: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            if reason not in self._said:
                self._said.add(reason)
                print(f"warning  {reason}", file=sys.stderr, flush=True)


def left_out(trainer: Trainer, observers: list[Observer]) -> list[str]:
    """What will not be drawn or measured in this training, and why."""
    if not trainer.enable_validation:
        return ["left out all figures and measures: there is no validation (a loader of validation images, and validation_step)"]
    reasons: dict[str, list[str]] = {}
    for observer in observers:
        if observer.missing:
            reasons.setdefault(observer.missing, []).append(type(observer).__name__)
    found = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
    return [f"not drawn for this model: {found}"] if found else []
