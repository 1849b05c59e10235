"""Counts the floating-point operations of training steps."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from lit_models.training.batches import images_of


class _Counter(TorchDispatchMode):
    """Counts what torch's own counter counts; that one cannot be used where gradients have gradients, as those of penalties do."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        if function._overloadpacket in flop_registry:
            self.flops += flop_registry[function._overloadpacket](*args, **(kwargs or {}), out_val=found)
        return found


class CountFlops(Callback):
    """Every checkpoint gets `flops`: the floating-point operations of each training step so far, per image.

    Matrix products, convolutions and attention are counted, forward and backward, those of penalties and of averaged networks included. A
    step is several times as slow while it is counted.
    """

    def __init__(self) -> None:
        self.per_image: list[float] = []
        self._counter = _Counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._counter = _Counter()
        self._counter.__enter__()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._counter.__exit__(None, None, None)
        self.per_image.append(self._counter.flops / len(images_of(pl_module, batch)[0]))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["flops"] = self.per_image
