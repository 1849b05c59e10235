"""A model in evaluation mode, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule


@contextmanager
def evaluation_mode(model: LightningModule) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards the modes of all modules and the random state are as they were before."""
    modes = {module: module.training for module in model.modules()}
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
