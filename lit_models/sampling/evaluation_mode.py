"""A model in evaluation mode, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule
from torch import nn


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    """All modules in evaluation mode; afterwards their modes are as they were before. With dropout a prior would draw scribbles."""
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, mode in modes.items():
            each.training = mode


@contextmanager
def evaluation_mode(model: LightningModule) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards the modes of all modules and the random state are as they were before."""
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad(), without_dropout(model):
        yield
