"""What users report: each test is one report, or its whole kind, on the small digits and with the real command."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import LIGHTNING, mnist_root, needs_mnist, one_thread, run_process
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateFinder  # noqa: F401  (a config names it)
from test_data import write_idx

from datamodules import MNISTDataModule
from lit_models import VAE
from lit_models.checkpoints.atomic_io import read_checkpoint

F = ["--config", "fast", "--data.dataset=digits", "--data.limit=200", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
SMALL = ["--model.channels=16"]


@pytest.fixture
def run(lightning, tmp_path: Path) -> Path:
    assert lightning("fit", "--config", "vae", *F, *SMALL) == 0
    return tmp_path / "logs" / "vae+fast" / "digits" / "version_0"


def three_lines(capsys: pytest.CaptureFixture) -> str:
    said = capsys.readouterr().err.strip()
    lines = [line for line in said.splitlines() if line.startswith("lightning: ")]
    assert 1 <= len(lines) <= 3
    assert "Traceback" not in said
    return "\n".join(lines)


# -- 1, 2, 3, 38: data that is not where it was looked for


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(mirrors: list[str]) -> None:
        raise OSError("no route")

    monkeypatch.setattr("datamodules.sources._probe", out_of_reach)
    monkeypatch.delenv("MNIST_ROOT", raising=False)


@pytest.mark.parametrize("words", [["--data.dataset=fashion_mnist"], ["--data.dataset=mnist"], ["--data.root=png"]])
def test_1_38_what_the_user_names_is_not_replaced(words: list[str], offline: None, lightning, tmp_path: Path, capsys) -> None:
    for label in range(3):
        (tmp_path / "png" / str(label)).mkdir(parents=True)
        (tmp_path / "png" / str(label) / "a.png").write_bytes(b"")
    assert lightning("fit", "--config", "vae", "--config", "fast", "--trainer.max_epochs=1", *words) == 2
    said = three_lines(capsys)
    assert "could not be downloaded" in said
    assert "train-images-idx3-ubyte" in said
    assert "png" not in words[0] or "found folders 0, 1, 2 and 3 .png files" in said
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("place", ["flat", "flat/raw", "flat/MNIST", "flat/MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_2_3_files_are_found_packed_or_not(place: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / place)
    if packed:
        for file in (tmp_path / place).iterdir():
            subprocess.run(["gzip", file], check=True)
    data = MNISTDataModule("mnist", root=str(tmp_path / "flat"), verify=False)
    data.setup()
    assert len(data.splits["test"].images) == 40
    monkeypatch.setenv("MNIST_ROOT", str(tmp_path / place))
    again = MNISTDataModule("mnist", verify=False)
    again.setup()
    assert again.images_sha256 == data.images_sha256


def test_3_a_packed_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte"
    subprocess.run(["gzip", file], check=True)
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(packed.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: expected a file packed by gzip"):
        MNISTDataModule("mnist", root=str(tmp_path), verify=False).setup()


# -- 6, 31, 39: other images than were meant


def test_6_a_run_is_not_measured_on_other_images(lightning, tmp_path: Path, capsys) -> None:
    for name in ("first", "second"):
        write_idx(tmp_path / name / "MNIST" / "raw", n=300)
    other = tmp_path / "second" / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    raw = bytearray(other.read_bytes())
    raw[16:] = bytes(255 - value for value in raw[16:])
    other.write_bytes(raw)
    words = ["--config", "vae", "--config", "fast", "--trainer.max_epochs=1", "--data.verify=false", *SMALL]
    assert lightning("fit", *words, "--data.root=first") == 0
    run = tmp_path / "logs" / "vae+fast" / "mnist"
    assert lightning("test", run, "--root", "first", "--samples", 0) == 0
    assert "on the 300 test images of mnist" in capsys.readouterr().out
    assert lightning("test", run, "--root", "second", "--samples", 0) == 2
    said = three_lines(capsys)
    assert "expected the images of mnist that the checkpoint's run has seen" in said
    assert "got others in second/" in said
    assert lightning("fit", *words, "--data.root=second", "--trainer.max_epochs=2", "--ckpt_path=last") == 2
    assert "got others in second/" in three_lines(capsys)


def letters(folder: Path) -> None:
    write_idx(folder)
    for split in ("train", "t10k"):
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 40) + bytes(1 + i % 26 for i in range(40)))


@pytest.mark.parametrize("model", ["ae", "vqvae", "gan_conditional"])
def test_31_39_other_numbers_of_classes_are_refused_before_the_first_step(model: str, lightning, tmp_path: Path, capsys) -> None:
    letters(tmp_path / "set_letters")
    assert lightning("fit", "--config", model, "--config", "fast", "--data.verify=false", "--data.root=set_letters") == 2
    said = three_lines(capsys)
    assert "expected the labels 0 to 9 of 10 classes, found labels 1 to 26" in said
    assert "a whole file of another data set" in said
    assert "damaged" not in said
    assert not (tmp_path / "logs").exists()


# -- 8, 9, 11, 13: few images, few numbers


def test_8_a_last_batch_of_one_image_trains(lightning) -> None:
    words = ["--data.limit=51", "--data.batch_size=50", "--model.channels=16"]
    assert lightning("fit", "--config", "classifier", *F, *words) == 0


@pytest.mark.parametrize("model", ["vae", "ae", "pca_ae", "anchored", "vqvae", "gan"])
@pytest.mark.parametrize("limit", [1, 3, 20])
def test_9_11_figures_and_measures_of_few_images_end_no_training(model: str, limit: int, lightning, tmp_path: Path, capsys) -> None:
    small = {"gan": ["--model.clusters=1"], "pca_ae": ["--model.latent_dim=1"]}.get(model, [])
    if model == "pca_ae" and limit == 1:
        assert lightning("fit", "--config", model, *F, "--data.limit=1", *small) == 2
        assert "1 principal components expected at least 2 images, got 1" in three_lines(capsys)
        return
    assert lightning("fit", "--config", model, *F, f"--data.limit={limit}", *small) == 0
    run = tmp_path / "logs" / f"{model}+fast" / "digits" / "version_0"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert lightning("test", run, "--samples", 100) == 0


def test_9_a_class_that_does_not_occur_is_a_black_cell(tmp_path: Path) -> None:
    from callbacks.figures.figure import decode_known
    from lit_models.sampling.class_places import class_means

    model = VAE(channels=16).eval()
    means = class_means(torch.randn(18, 16), torch.arange(18) % 9)
    with torch.no_grad():
        images = decode_known(model, means)
    assert images[9].abs().max() == 0
    assert images[:9].flatten(1).amax(dim=1).min() > 0


def test_13_a_code_of_one_number_is_drawn_against_its_rank(lightning, tmp_path: Path, capsys) -> None:
    assert lightning("fit", "--config", "vae", *F, *SMALL, "--model.latent_dim=1") == 0
    run = tmp_path / "logs" / "vae+fast" / "digits" / "version_0"
    assert (run / "figures" / "latents" / "line" / "epoch_0001.png").is_file()
    assert "is left out" not in capsys.readouterr().err


# -- 15, 17, 19, 20, 26, 35, 44: Lightning's own options


def test_15_weights_averaged_by_lightnings_callback_are_sampled_and_tested(lightning, tmp_path: Path) -> None:
    assert lightning("fit", "--config", "ae", *F, *SMALL, "--trainer.callbacks+=EMAWeightAveraging") == 0
    run = tmp_path / "logs" / "ae+fast" / "digits"
    assert lightning("sample", run, "--sampler", "gmm") == 0
    assert lightning("test", run, "--samples", 100) == 0


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_notebook"])
def test_17_strategies_that_spawn_or_fork_train_and_end_well(strategy: str, tmp_path: Path) -> None:
    words = [f"--trainer.strategy={strategy}", "--trainer.devices=2"]
    done = run_process("fit", "--config", "vae", *F, *SMALL, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_checkpoint(tmp_path / "logs/vae+fast/digits/version_0/checkpoints/last.ckpt")["global_step"] == 4


@pytest.mark.parametrize("model", ["vae", "vqvae", "gan"])
def test_19_lightnings_sanity_check_works(model: str, lightning) -> None:
    small = ["--model.clusters=3"] if model == "gan" else []
    assert lightning("fit", "--config", model, *F, *small, "--trainer.num_sanity_val_steps=2") == 0


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss"], "did you mean val/loss?"),
        (["--checkpoint.monitor=val/los"], "did you mean val/loss?"),
    ],
)
def test_20_a_metric_that_is_not_logged_is_answered_with_the_nearest(words: list[str], nearest: str, lightning, capsys) -> None:
    assert lightning("fit", "--config", "vae", *F, *SMALL, *words) == 2
    assert nearest in three_lines(capsys)


def test_26_a_tuner_is_refused(lightning, tmp_path: Path, capsys) -> None:
    assert lightning("fit", "--config", "vae", *F, "--trainer.callbacks+=LearningRateFinder") == 2
    assert "LearningRateFinder, whose result would be neither in force nor recorded" in three_lines(capsys)
    assert not (tmp_path / "logs").exists()


def test_35_barebones_is_refused_with_a_remedy(lightning, tmp_path: Path, capsys) -> None:
    assert lightning("fit", "--config", "vae", *F, "--trainer.barebones=true") == 2
    assert "--trainer.fast_dev_run true" in three_lines(capsys)
    assert not (tmp_path / "logs").exists()


def test_44_training_losses_can_be_monitored_from_the_first_epoch_on(lightning) -> None:
    words = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=train/loss", "--trainer.log_every_n_steps=100"]
    assert lightning("fit", "--config", "vae", *F, *SMALL, *words) == 0


def test_callbacks_without_a_plus_are_warned_about(lightning, capsys) -> None:
    words = ["--trainer.callbacks=callbacks.SeedEachStep"]
    assert lightning("fit", "--config", "vae", *F, *SMALL, *words) == 0
    assert "--trainer.callbacks replaces the shared list, and leaves out callbacks.StopOnSignal" in capsys.readouterr().err


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
    trainer.fit(VAE(channels=16), datamodule=MNISTDataModule(dataset="digits", limit=100))
    (file,) = tmp_path.rglob("*.ckpt")
    assert lightning("sample", file, "--output", "s.png") == 0
    capsys.readouterr()
    assert lightning("test", file, "--samples", 100) == 0
    assert "on the 100 test images of digits" in capsys.readouterr().out


L1VAE = '''
import torch
from lit_models import VAE

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
    capsys.readouterr()
    assert lightning("test", run, "--import", "stripes", "--samples", 100) == 0
    assert "on the 50 test images of stripes" in capsys.readouterr().out
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


@needs_mnist
def test_2_flat_files_of_mnist_itself_are_found(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for file in (Path(str(mnist_root())) / "MNIST" / "raw").glob("t*ubyte"):
        os.symlink(file, tmp_path / "flat" / file.name)
    data = MNISTDataModule("mnist", root=str(tmp_path / "flat"))
    data.setup()
    assert len(data.images("test")[0]) == 10_000
    shutil.rmtree(tmp_path / "flat")
