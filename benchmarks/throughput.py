"""`lightning fit` against a bare PyTorch loop: same module, batches, optimiser and in-memory data, in one process, A B A B.

    python -m benchmarks.throughput [--models ae vae vqvae] [--rounds 3] [--steps 100]

Steady state: the steps of one epoch after the first twenty, with all shared callbacks and loggers. Images are random, so no data
set is needed. Prints images/s of both, their ratio, and the rate of matrix products beside it.
"""

import argparse
import contextlib
import io
import os
import statistics
import struct
import tempfile
import time
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from datamodules import MNISTDataModule
from lit_models.ae import AE
from lit_models.command import main as lightning
from lit_models.vae import VAE
from lit_models.vqvae import VQVAE

WARM = 20
MODELS = {
    "ae": (AE, "ae", {}),
    "vae": (VAE, "vae", {}),
    "vqvae": (VQVAE, "vqvae", {}),
    "vqvae prior": (VQVAE, "vqvae", {"autoencoder_steps": -1}),
}


class Clock(Callback):
    """Seconds between batch `WARM` and the last."""

    seconds = 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int) -> None:
        if batch_idx == WARM - 1:
            self.start = time.perf_counter()
        Clock.seconds = time.perf_counter() - getattr(self, "start", 0.0)


def write_random_mnist(root: Path, n: int) -> None:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        images = torch.randint(256, (n, 28, 28), dtype=torch.uint8)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, n, 28, 28) + images.numpy().tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, n) + bytes(i % 10 for i in range(n)))


def by_fit(config: str, changed: dict[str, int]) -> float:
    words = [f"--model.init_args.{key}={value}" for key, value in changed.items()]
    words += ["--trainer.max_epochs=1", "--trainer.limit_val_batches=0", "--trainer.callbacks+=benchmarks.throughput.Clock"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert lightning(["fit", "--config", config, *words]) == 0
    import benchmarks.throughput as itself

    return itself.Clock.seconds


def by_hand(model: LightningModule, root: Path) -> float:
    data = MNISTDataModule("mnist", root=str(root))
    data.setup()
    model.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    model.train()
    configured = model.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    start = 0.0
    for number, batch in enumerate(data.train_dataloader()):
        if number == WARM:
            start = time.perf_counter()
        loss = model.training_step(batch, number)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - start


def matrix_product_rate(size: int = 2048, times: int = 20) -> float:
    """GFLOP/s in float32."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    left @ right
    start = time.perf_counter()
    for _ in range(times):
        left @ right
    return times * 2 * size**3 / (time.perf_counter() - start) / 1e9


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=100)
    given = options.parse_args()
    print(f"{torch.get_num_threads()} threads, {matrix_product_rate():.0f} GFLOP/s in matrix products")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        root = Path(folder)
        write_random_mnist(root, (WARM + given.steps) * 128 * 10 // 9 + 10)
        os.environ["MNIST_ROOT"] = folder
        for name in given.models:
            kind, config, changed = MODELS[name]
            ratios, rates = [], []
            for _ in range(given.rounds):
                fit, bare = by_fit(config, changed), by_hand(kind(**changed), root)
                ratios.append(bare / fit)
                rates.append(given.steps * 128 / fit)
            spread = f"(of {given.rounds}: {min(ratios):.3f} to {max(ratios):.3f})"
            rate, ratio = statistics.median(rates), statistics.median(ratios)
            print(f"{name:12} fit {rate:6.0f} images/s, fit / bare loop {ratio:.3f} {spread}", flush=True)


if __name__ == "__main__":
    main()
