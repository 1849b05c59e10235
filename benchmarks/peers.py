"""Compares our VAE and quantiser with those of other packages on the same work.

    pip install pythae vector-quantize-pytorch
    python -m benchmarks.peers [--rounds 3] [--images 55000] [--only quantiser pythae quality]

- `quantiser` times a training step of the quantiser of `vector-quantize-pytorch` and of ours, forward and backward, with moving average and
  k-means.
- `pythae` times its VAE, with our encoder and decoder and its own trainer, in alternation with `lightning fit` with and without figures.
  Images, batch size (128) and epochs are the same. Seconds per epoch are those of the second and third epoch.
- `quality` trains the shipped VAE to its end by `lightning fit` on MNIST, then the VAE of `pythae` for as many epochs as fit into the same
  time. The benchmark prints the Fréchet distance of 10,000 samples of each to the test images, in the judge's features.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from pythae.data.datasets import BaseDataset
from pythae.models import VAE as PythaeVAE
from pythae.models import VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor
from vector_quantize_pytorch import VectorQuantize

from benchmarks.throughput import write_random_mnist
from datamodules import ImageDataModule
from lit_models.checkpoints.loading import load
from lit_models.command import main as lightning
from lit_models.evaluation.yardstick import yardstick_of
from lit_models.losses import commitment_loss
from lit_models.nn.autoencoder import Decoder, Encoder
from lit_models.nn.quantiser import VectorQuantiser
from lit_models.study.machine import matrix_product_rate

EPOCHS = 3
PARTS = ["quantiser", "pythae", "quality"]
T = TypeVar("T")


class TheirEncoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.net = Encoder(32)

    def forward(self, images: Tensor) -> ModelOutput:
        mean, log_var = self.net(images).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_var)


class TheirDecoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.net = Decoder(16)

    def forward(self, codes: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.net(codes).sigmoid())


class TheirClock(TrainingCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_epoch_end(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        self.ends.append(time.perf_counter())


class OurClock(Callback):
    ends: list[float] = []  # noqa: RUF012

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        OurClock.ends.append(time.perf_counter())


def epoch_of(ends: list[float]) -> float:
    """Seconds per epoch, without the first epoch, which includes the start of the training."""
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def apart(function: Callable[..., T], *arguments: object) -> T:
    """Call `function` in a new process, which does not keep freed memory as this one does."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def by_pythae(images: Tensor, held_out: Tensor, epochs: int = EPOCHS, samples: int = 500) -> tuple[float, float, Tensor]:
    """Seconds per epoch, seconds of the whole training, and samples from the standard normal."""
    begin = time.perf_counter()
    clock = TheirClock()
    model = PythaeVAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss="bce"), TheirEncoder(), TheirDecoder())
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        size = dict(per_device_train_batch_size=128, per_device_eval_batch_size=500)
        config = BaseTrainerConfig(output_dir=folder, num_epochs=epochs, learning_rate=2e-3, no_cuda=True, **size)
        data, eval_data = (BaseDataset(each, torch.zeros(len(each))) for each in (images, held_out))
        BaseTrainer(model, data, eval_data, config, [clock]).train()
    taken = time.perf_counter() - begin
    model.eval()
    with torch.no_grad():
        drawn = [model.decoder(codes).reconstruction for codes in torch.randn(samples, 16).split(500)]
    return epoch_of(clock.ends), taken, torch.cat(drawn)


def by_lightning(figures: bool) -> float:
    import benchmarks.peers as itself  # the command imports the callback from this module, not from __main__

    itself.OurClock.ends.clear()
    words = [
        f"--trainer.max_epochs={EPOCHS}",
        "--data.init_args.epoch_images=null",
        "--data.init_args.verify=false",
        *([] if figures else ["--trainer.callbacks=[]"]),
    ]
    words += ["--import=benchmarks.peers", "--trainer.callbacks+=benchmarks.peers.OurClock"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert lightning(["fit", "--config", "vae", *words]) == 0
    return epoch_of(itself.OurClock.ends)


@torch.no_grad()
def quality(root: str) -> None:
    data = ImageDataModule("mnist", root=root)
    data.setup()
    images, held_out = (data.images(split)[0] for split in ("train", "val"))
    yardstick = yardstick_of("mnist", data.whole())

    def distance(samples: Tensor) -> str:
        found = yardstick.distances(samples)
        return " ".join(f"{found[name]:.2f}" for name in ("kid", "kid_second", "kid_untrained"))

    torch.manual_seed(0)
    start = time.perf_counter()
    with torch.enable_grad(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert lightning(["fit", "--config", "vae", f"--data.init_args.root={root}"]) == 0
    ours = time.perf_counter() - start
    model = load("logs/vae/mnist")
    print(f"fit --config vae: {ours:.0f} s, kernel distances {distance(model.sample(yardstick.n))}", flush=True)
    epoch, taken, _ = apart(by_pythae, images, held_out)
    epochs = EPOCHS + round((ours - taken) / epoch)
    _, taken, drawn = apart(by_pythae, images, held_out, epochs, yardstick.n)
    print(f"pythae, {epochs} epochs: {taken:.0f} s, kernel distances {distance(drawn)}")


def quantise(rows: int, dim: int, codes: int, steps: int, ours: bool) -> float:
    """Seconds per training step that quantises `rows` vectors and passes a gradient back."""
    grids = torch.randn(rows // 16, dim, 4, 4, requires_grad=True)
    sequences = torch.randn(rows // 16, 16, dim, requires_grad=True)
    quantiser = VectorQuantiser(codes, dim)
    theirs = VectorQuantize(dim, codes, decay=0.99, kmeans_init=True, threshold_ema_dead_code=1).train()

    def step() -> None:
        if ours:
            quantiser.update(grids.detach())
            quantised = quantiser.lookup(quantiser.indices(grids))
            straight = grids + (quantised - grids).detach()
            (straight.sum() + commitment_loss(grids, quantised, 784).mean()).backward()
        else:
            straight, _, loss = theirs(sequences)
            (straight.sum() + loss.sum()).backward()

    step()  # k-means
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def against_vector_quantize(rounds: int) -> None:
    for rows, dim, codes in ((2048, 64, 256), (6272, 64, 256), (6272, 16, 64), (2048, 64, 1024), (8192, 32, 4096)):
        ratios = [quantise(rows, dim, codes, 20, False) / quantise(rows, dim, codes, 20, True) for _ in range(rounds)]
        print(f"quantiser, {rows} vectors of {dim}, {codes} codes: theirs / ours {statistics.median(ratios):.2f}", flush=True)


def against_pythae(rounds: int, n: int) -> None:
    write_random_mnist(Path(), n * 10 // 9)
    os.environ["MNIST_ROOT"] = str(Path().resolve())
    data = ImageDataModule("mnist", verify=False)
    data.setup()
    images, held_out = data.images("train")[0], data.images("val")[0]
    for number in range(rounds):
        (theirs, *_), ours, bare = apart(by_pythae, images, held_out), by_lightning(figures=True), by_lightning(figures=False)
        print(
            f"round {number}: an epoch of the VAE takes pythae {theirs:.1f} s; us {ours:.1f} s with all figures, {theirs / ours:.2f};"
            f" {bare:.1f} s without, {theirs / bare:.2f}",
            flush=True,
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--images", type=int, default=55_000)
    options.add_argument("--root")
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    given = options.parse_args()
    root = str(Path(given.root or os.environ.get("MNIST_ROOT") or "data").resolve())
    print(f"{matrix_product_rate():.0f} GFLOP/s in matrix products")
    if "quantiser" in given.only:
        against_vector_quantize(given.rounds)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if "pythae" in given.only:
            against_pythae(given.rounds, given.images)
        if "quality" in given.only:
            quality(root)


if __name__ == "__main__":
    main()
