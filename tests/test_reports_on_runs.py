"""User reports on runs, processes, classes of their own: each test is a report or its whole kind, with the real command."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import LIGHTNING, one_thread, run_process
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateFinder  # noqa: F401  (a config names it)
from lightning.pytorch.loggers import CSVLogger
from reports import SMALL, F, three_lines

from datamodules import ImageDataModule
from lit_models import VAE, load


@pytest.fixture
def run(lightning, tmp_path: Path) -> Path:
    assert lightning("fit", "--config", "vae", *F, *SMALL) == 0
    return tmp_path / "logs" / "vae+fast" / "digits" / "version_0"


# -- 22, 24, 34, 42, 43: files and processes


def test_22_everyday_names_next_to_the_users_files_do_not_hide_ours(tmp_path: Path) -> None:
    for name in ("callbacks.py", "datamodules.py", "lit_models.py"):
        (tmp_path / name).write_text("raise SystemExit('a file of the user')\n")
    (tmp_path / "lit_models.py").unlink()  # python -m would run this very file
    start = [sys.executable, "-m", "lit_models"]
    done = run_process("fit", "--config", "vae", *F, *SMALL, cwd=tmp_path, start=start)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.default_root_dir=scratch"],
        ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=scratch"],
    ],
    ids=["default_root_dir", "save_dir"],
)
def test_24_the_user_chooses_where_runs_go(words: list[str], lightning, tmp_path: Path) -> None:
    assert lightning("fit", "--config", "vae", *F, *SMALL, *words) == 0
    run = tmp_path / "scratch" / "vae+fast" / "digits" / "version_0"
    assert {"config.yaml", "metrics.csv", "checkpoints", "figures"} <= {path.name for path in run.iterdir()}
    assert not (tmp_path / "logs").exists()
    assert lightning("fit", "--config", "vae", *F, *SMALL, *words, "--trainer.max_epochs=2", "--ckpt_path=last") == 0
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]
    assert lightning("sample", run, "--output", "s.png") == 0


def test_34_a_runs_own_config_names_the_run_as_it_was(run: Path, lightning, tmp_path: Path) -> None:
    assert lightning("fit", "--config", run / "config.yaml") == 0
    assert sorted(path.name for path in run.parent.iterdir()) == ["version_0", "version_1"]
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["vae+fast"]


def test_43_the_board_ends_with_its_process(run: Path, tmp_path: Path) -> None:
    board = subprocess.Popen(
        [LIGHTNING, "board", "--port", "0", "--load_fast", "false"],
        cwd=tmp_path, env=one_thread(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert board.stderr is not None
    for line in board.stderr:
        if "http://" in line:
            break
    board.send_signal(signal.SIGTERM)
    board.wait(timeout=20)
    time.sleep(0.5)
    left = subprocess.run(["pgrep", "-s", str(board.pid)], capture_output=True, text=True, check=False).stdout.split()
    assert left == []


# -- 29, 36, 37: checkpoints of plain Trainers and of the user's own classes


def test_29_what_the_checkpoint_of_a_plain_trainer_knows_suffices(lightning, tmp_path: Path, capsys) -> None:
    lightning("configs")  # changes into the test's folder
    trainer = Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(VAE(channels=16), datamodule=ImageDataModule(dataset="digits", limit=100))
    (file,) = tmp_path.rglob("*.ckpt")
    assert lightning("sample", file, "--output", "s.png") == 0
    capsys.readouterr()
    assert lightning("test", file, "--samples", 100) == 0
    assert "on the 100 validation images of digits" in capsys.readouterr().out


L1VAE = '''
import torch
from lit_models import VAE, load

class L1VAE(VAE):
    """A VAE whose weights are pulled to zero."""
    def __init__(self, l1: float = 0.001, width: int = 16) -> None:
        super().__init__(latent_dim=3, channels=width)
        self.save_hyperparameters()
        self.l1 = l1

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) + self.l1 * sum(p.abs().sum() for p in self.parameters())
'''


def test_36_37_a_subclass_with_arguments_of_its_own_is_opened_by_the_commands_that_fit_prints(lightning, tmp_path: Path, capsys) -> None:
    (tmp_path / "mine.py").write_text(L1VAE)
    (tmp_path / "mine.yaml").write_text("model: {class_path: mine.L1VAE, init_args: {l1: 0.01}}\n")
    assert lightning("fit", "--config", "mine.yaml", *F) == 0
    said = capsys.readouterr().out.splitlines()
    commands = [line.split("lightning ", 1)[1].split() for line in said if line.startswith(("next ", "         lightning "))]
    assert [command[0] for command in commands] == ["sample", "test"]
    for command in commands:
        assert lightning(*command) == 0, command
    assert (tmp_path / "samples.png").is_file()
    assert lightning("predict", commands[0][1], "--import", "mine") == 0
    assert np.load("codes.npz")["codes"].shape == (200, 3)
    assert lightning("fit", "--config", "mine.yaml", *F, "--trainer.max_epochs=2", "--ckpt_path=last") == 0
    capsys.readouterr()
    assert lightning("sample", commands[0][1]) == 2
    assert "--import mine" in three_lines(capsys)


OWN_DATA = '''
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

class Stripes(LightningDataModule):
    """Images of stripes, made here; classes 0 to 9 are their positions."""
    def __init__(self, n: int = 120, batch_size: int = 40) -> None:
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        labels = torch.arange(self.hparams.n) % 10
        images = torch.zeros(len(labels), 1, 28, 28)
        for image, label in zip(images, labels):
            image[:, :, 2 * label : 2 * label + 4] = 1
        self.all = images, labels

    def images(self, split: str):
        rows = {"train": slice(0, None, 3), "val": slice(1, None, 3), "test": slice(2, None, 3)}[split]
        return self.all[0][rows], self.all[1][rows]

    def _loader(self, split: str) -> DataLoader:
        return DataLoader(TensorDataset(*self.images(split)), batch_size=self.hparams.batch_size)

    def train_dataloader(self):
        return self._loader("train")

    def val_dataloader(self):
        return self._loader("val")

    def test_dataloader(self):
        return self._loader("test")
'''


def test_a_data_module_of_the_users_own_serves_fit_test_and_predict(lightning, tmp_path: Path, capsys) -> None:
    """Nothing asks for a class by name: what has the needed methods serves."""
    (tmp_path / "stripes.py").write_text(OWN_DATA)
    (tmp_path / "own.yaml").write_text(
        "model: {class_path: lit_models.vqvae.VQVAE, init_args: {n_codes: 16, channels: 16}}\n"
        "data: {class_path: stripes.Stripes, init_args: {n: 150}}\ntrainer: {max_epochs: 2}\n"
    )
    for model in ("lit_models.vqvae.VQVAE", "lit_models.pca_ae.PCAAE"):
        plain = yaml.safe_load((tmp_path / "own.yaml").read_text())
        plain["model"] = {"class_path": model}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(plain))
        assert lightning("fit", "--config", "own.yaml", "--trainer.accelerator=cpu") == 0
    run = tmp_path / "logs" / "own" / "stripes"
    assert (run / "version_0" / "figures" / "samples" / "grid" / "epoch_0002.png").is_file()
    printed = [line.split("lightning ", 1)[1].split() for line in capsys.readouterr().out.splitlines() if " lightning test " in f" {line}"]
    assert printed[-1][-2:] == ["--import", "stripes"]
    assert lightning("test", run, "--import", "stripes", "--samples", 100) == 0
    assert "validation images of stripes" in capsys.readouterr().out
    assert lightning("predict", run, "--import", "stripes") == 0
    assert lightning("test", run) == 2
    assert "--import stripes" in three_lines(capsys)


# -- 30: numbers that are none


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--noise", "nan"], "expected a finite number of at least 0, got 'nan'"),
        (["--noise", "-3"], "--noise"),
        (["--noise", "inf"], "expected a finite number of at least 0, got 'inf'"),
        (["--num", "abc"], "expected a whole number of at least 1, got 'abc'"),
        (["--num", "1e3"], "expected a whole number of at least 1, got '1e3'"),
        (["--label", "seven"], "--label"),
    ],
)
def test_30_numbers_that_are_none_are_refused(words: list[str], said: str, run: Path, lightning, tmp_path: Path, capsys) -> None:
    capsys.readouterr()
    assert lightning("sample", run, *words, "--output", "g.png") == 2
    told = three_lines(capsys)
    assert said in told
    assert "did you mean" not in told
    assert not (tmp_path / "g.png").exists()


def test_the_run_folder_of_a_plain_trainer_is_opened(lightning, tmp_path: Path) -> None:
    lightning("configs")  # changes into the test's folder
    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=CSVLogger("."), enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(VAE(channels=16), datamodule=ImageDataModule("digits", limit=100))
    assert load(tmp_path / "lightning_logs" / "version_0").sample(2).shape == (2, 1, 28, 28)
    assert load("lightning_logs").sample(2).shape == (2, 1, 28, 28)
