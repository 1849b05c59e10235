"""Samplers and figures give on a GPU what they give on the CPU, within a grey level. The GPU is pretended: it raises where devices meet."""

from pathlib import Path

import numpy as np
import pytest
import torch
from builders import BUILD, build
from lightning.pytorch import LightningModule, Trainer
from pretend_gpu import OnGpu, on_pretended_gpu, pretended_gpu
from torch import Tensor

from callbacks import figures as shipped
from callbacks.figures import CodebookUsage, Figure, Stages
from datamodules import ImageDataModule
from lit_models.sampling.evaluation_mode import evaluation_mode
from lit_models.sampling.samplers import draw, samplers_of

FIGURES = [getattr(shipped, name) for name in shipped.__all__ if name != "Figure"]


@pytest.mark.parametrize("name", BUILD)
def test_samples_are_those_of_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(name)
    expected = {sampler: draw(model, 10, sampler)[0] for sampler in samplers_of(model)}
    model = on_pretended_gpu(model)
    with pretended_gpu(monkeypatch):
        for sampler, images in expected.items():
            assert torch.allclose(draw(model, 10, sampler)[0], images, atol=1e-5), sampler


def test_the_pretended_gpu_raises_where_a_real_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch):
        here, there = torch.rand(3), torch.rand(3, device="cuda")
        assert isinstance(there, OnGpu)
        assert there.device.type == (there + 1).device.type == (there * torch.tensor(2.0)).device.type == "cuda"
        assert torch.equal(there.cpu() + here, here + there.cpu())
        assert type(there.cpu()) is Tensor
        assert there[torch.tensor([True, False, True])].shape == (2,), "indices may be on the CPU"
        for mixed in (
            lambda: there + here,
            lambda: here.add_(there),
            lambda: here[there.argsort()],
            lambda: torch.cat([there, here]),
            lambda: there.numpy(),
            lambda: torch.randn(3, generator=torch.Generator(), device="cuda"),
        ):
            with pytest.raises((RuntimeError, TypeError)):
                mixed()


def pictures(figures: list[Figure], trainer: Trainer, model: LightningModule, batch: list[Tensor]) -> dict[str, np.ndarray]:
    """All that the figures draw of a model, after it has seen a batch where it is."""
    found: dict[str, np.ndarray] = {}
    for figure in figures:
        if isinstance(figure, CodebookUsage):
            figure.on_validation_epoch_start(trainer, model)
            figure.on_validation_batch_end(trainer, model, None, [each.to(model.device) for each in batch], 0)
        if isinstance(figure, Stages):
            figure.on_train_batch_end(trainer, model, None, None, 0)
        with evaluation_mode(model):
            found |= dict(figure.draw(trainer, model))
    return found


@pytest.mark.parametrize("name", BUILD)
def test_figures_are_those_of_the_cpu(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, figures = BUILD[name](), [figure() for figure in FIGURES]
    data = ImageDataModule("digits", limit=640, batch_size=32, binarize="dynamic" if name == "pixels" else "none")
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=4, limit_val_batches=1, default_root_dir=tmp_path, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, callbacks=list(figures),
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    apt = [figure for figure in figures if not figure.missing]
    batch = list(next(iter(data.val_dataloader())))
    expected = pictures(apt, trainer, model, batch)
    assert len(expected) >= len(apt) - 1
    model = on_pretended_gpu(model)
    with pretended_gpu(monkeypatch):
        found = pictures(apt, trainer, model, batch)
    assert found.keys() == expected.keys()
    for tag, picture in expected.items():
        assert np.abs(found[tag].astype(int) - picture).max() <= 1, tag
