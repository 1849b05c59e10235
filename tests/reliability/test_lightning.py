"""R20: behaviour of Lightning that the project works around.

Each test is expected to fail. Once a test passes, the work-around that its `reason` names can be removed.
"""

import csv
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from datamodules.loader import TrainLoader
from datamodules.sources import Split

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}


class Line(LightningModule):
    """y = w x, with the number of the epoch as validation loss, so that the loss rises from epoch to epoch."""

    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)
        self.seen: list[float] = []

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        images = batch[0].float().flatten(1)[:, :1]
        self.seen += images[:, 0].tolist()
        loss = self.layer(images).square().mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("val/loss", float(self.current_epoch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-4)


def loaders() -> tuple[TrainLoader, DataLoader]:
    split = Split(torch.arange(40, dtype=torch.uint8).view(-1, 1, 1, 1), torch.zeros(40, dtype=torch.uint8))
    return TrainLoader(split, 10, 0), DataLoader(torch.zeros(4, 1))


@pytest.mark.xfail(strict=True, reason="last.ckpt is written only together with a new best: callbacks.KeepBestAndLast")
def test_last_ckpt_is_that_of_the_last_epoch(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, monitor="val/loss", save_last=True, filename="best")
    Trainer(max_epochs=3, callbacks=[keep], logger=False, **QUIET).fit(Line(), *loaders())
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 2


@pytest.mark.xfail(strict=True, reason="CSVLogger deletes an existing metrics.csv: lit_models.training.csv_logger.MetricsCSV")
def test_a_resumed_run_keeps_its_metrics(tmp_path: Path) -> None:
    for epochs in (1, 2):
        logger = CSVLogger(tmp_path, name="", version="run")
        keep = ModelCheckpoint(tmp_path, save_last=True)
        trainer = Trainer(max_epochs=epochs, callbacks=[keep], logger=logger, log_every_n_steps=1, **QUIET)
        trainer.fit(Line(), *loaders(), ckpt_path=tmp_path / "last.ckpt" if epochs == 2 else None)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as stream:
        assert {row["step"] for row in csv.DictReader(stream) if row["loss"]} == set(map(str, range(8)))


@pytest.mark.xfail(strict=True, reason="an epoch that the time limit has ended early counts as complete: callbacks.StopOnSignal")
def test_a_time_limit_loses_no_image(tmp_path: Path) -> None:
    class Enough(Timer):
        def on_train_batch_end(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
            trainer.should_stop = trainer.global_step == 2 or trainer.should_stop

    keep, model = ModelCheckpoint(tmp_path, save_last=True), Line()
    Trainer(max_epochs=1, callbacks=[Enough("00:01:00:00"), keep], logger=False, **QUIET).fit(model, *loaders())
    again = Line()
    Trainer(max_epochs=1, callbacks=[keep], logger=False, **QUIET).fit(again, *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert sorted(model.seen + again.seen) == list(range(40))


@pytest.mark.xfail(strict=True, reason="the hyperparameters of a checkpoint are not compared: lit_models.command.identity.check_identity")
def test_a_checkpoint_of_another_size_is_refused_by_name(tmp_path: Path) -> None:
    trainer = Trainer(max_epochs=1, logger=False, default_root_dir=tmp_path, **QUIET)
    trainer.fit(Line(), *loaders())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(Exception, match="width"):
        Trainer(max_epochs=2, logger=False, **QUIET).fit(Line(width=2), *loaders(), ckpt_path=tmp_path / "one.ckpt")


@pytest.mark.xfail(strict=True, reason="a damaged file is loaded without an error: lit_models.checkpoints.archive")
def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    trainer = Trainer(max_epochs=1, logger=False, default_root_dir=tmp_path, **QUIET)
    trainer.fit(Line(), *loaders())
    file = tmp_path / "one.ckpt"
    trainer.save_checkpoint(file)
    raw = bytearray(file.read_bytes())
    weight = raw.index(trainer.model.layer.weight.detach().numpy().tobytes())
    raw[weight] ^= 1
    file.write_bytes(raw)
    with pytest.raises(Exception, match=r"checksum|damaged|corrupt"):
        trainer.strategy.checkpoint_io.load_checkpoint(file, weights_only=True)


@pytest.mark.xfail(strict=True, reason="a restored optimiser keeps its saved learning rate: lit_models.training.schedules.set_base_rates")
def test_a_changed_learning_rate_is_used(tmp_path: Path) -> None:
    class Faster(Line):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1e-3)

    first = Trainer(max_epochs=1, logger=False, default_root_dir=tmp_path, **QUIET)
    first.fit(Line(), *loaders())
    first.save_checkpoint(tmp_path / "one.ckpt")
    second = Trainer(max_epochs=2, logger=False, default_root_dir=tmp_path, **QUIET)
    second.fit(Faster(), *loaders(), ckpt_path=tmp_path / "one.ckpt")
    assert second.optimizers[0].param_groups[0]["lr"] == 1e-3
