"""Compares `lightning fit` with a bare PyTorch loop and with the machine's rate of matrix products.

`fit` and the loop train the same module with the same batches and optimiser, with the data in memory, in one process and in alternation.

    python -m benchmarks.throughput [--configs ae vae ...] [--rounds 3] [--steps 100]

Only the steps of one epoch after the first twenty count. `fit` has all shared callbacks and loggers. Images are random, so no data set is
needed. The benchmark prints

- the images/s of `fit`, and the ratio to the bare loop;
- the floating-point operations of a training step per image, and their share of the rate of matrix products, measured before each round;
- the shares of the time of `fit`: the parts of the bare loop; "framework", which Lightning adds to them without callbacks and loggers; and
  "callbacks", which callbacks and loggers add.

The whole step of an adversarial model counts as "forward". Its penalties, which every fourth step adds, are not among the operations.
"""

import argparse
import contextlib
import importlib
import io
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from datamodules import ImageDataModule
from lit_models.command import main as lightning
from lit_models.gan import GAN
from lit_models.pca_ae import PCAAE
from lit_models.pca_vae import PCAVAE
from lit_models.study.machine import matrix_product_rate

WARM = 20
CONFIGS = ["ae", "vae", "vqvae", "vqvae prior", "gan", "gan_conditional", "vae_gan", "anchored", "pca_ae", "pca_vae"]


class Clock(Callback):
    """Measures the seconds from batch `WARM` to the last."""

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


def by_fit(config: str, words: list[str]) -> tuple[float, dict[str, Any]]:
    """Seconds of `lightning fit`, and the config.yaml of its run."""
    words = [
        *words,
        "--trainer.max_epochs=1",
        "--trainer.limit_val_batches=0",
        "--data.init_args.epoch_images=null",
        "--data.init_args.verify=false",
    ]
    words += ["--import=benchmarks.throughput", "--trainer.callbacks+=benchmarks.throughput.Clock"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert lightning(["fit", "--config", config, *words]) == 0
    import benchmarks.throughput as itself

    newest = max(Path("logs").glob("*/*/version_*/config.yaml"), key=lambda file: file.stat().st_mtime)
    return itself.Clock.seconds, yaml.safe_load(newest.read_text())


def built(config: dict[str, Any], data: ImageDataModule) -> LightningModule:
    """The run's module outside Lightning. Clusters and principal components are fitted, as before a training, and nothing is logged."""
    module, _, name = config["model"]["class_path"].rpartition(".")
    model = getattr(importlib.import_module(module), name)(**config["model"]["init_args"])
    model.trainer = SimpleNamespace(
        global_step=0,
        ckpt_path=None,
        is_last_batch=False,
        estimated_stepping_batches=len(data.train_dataloader()),
        precision="32-true",
        strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor),
        _logger_connector=SimpleNamespace(should_update_logs=False),
    )
    images, labels = data.images("train")
    if isinstance(model, GAN) and model.clusters:
        model.clusters.fit(images, model._clustered_class(labels, len(images)))
    if isinstance(model, PCAAE | PCAVAE):
        model.encoder.fit(images)
    return model.train()


def by_hand(config: dict[str, Any], root: Path, device: str = "cpu") -> tuple[dict[str, float], float]:
    """Seconds per part of the bare loop, and floating-point operations of the forward and backward pass per image.

    On a GPU the parts are those of the processor, which does not wait for it but at the end; their sum is the time of the loop.
    """
    batch_size = config["data"]["init_args"]["batch_size"]
    data = ImageDataModule("mnist", root=str(root), batch_size=batch_size, verify=False)
    data.setup()
    model = built(config, data).to(device)
    data.splits = {name: split.to(torch.device(device)) for name, split in data.splits.items()}
    configured = model.configure_optimizers()
    parts = [configured] if isinstance(configured, dict) else configured
    optimizers, schedules = [part["optimizer"] for part in parts], [part["lr_scheduler"]["scheduler"] for part in parts]
    model.lr_schedulers = lambda: schedules[0]
    if not model.automatic_optimization:  # an adversarial model steps its networks itself
        stepped = [SimpleNamespace(step=optimizer.step, optimizer=optimizer) for optimizer in optimizers]
        model.optimizers, model.lr_schedulers = lambda: stepped, lambda: schedules
    spent = dict.fromkeys(("data", "forward", "backward", "optimiser"), 0.0)

    def timed(part: str, action: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = action()
        if model.trainer.global_step >= WARM:
            spent[part] += time.perf_counter() - start
        return result

    def descend() -> None:
        optimizers[0].step()
        optimizers[0].zero_grad()
        schedules[0].step()

    def step(batch: list[Tensor]) -> None:
        loss = timed("forward", lambda: model.training_step(batch, 0))
        if model.automatic_optimization:
            timed("backward", loss.backward)
            timed("optimiser", descend)
        model.trainer.global_step += 1

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    batches = iter(data.train_dataloader())
    while (batch := timed("data", lambda: next(batches, None))) is not None:
        step(batch)
        last = batch
    timed("optimiser", wait)
    with FlopCounterMode(display=False) as counter:
        model.trainer.global_step = WARM + 1  # a step without a GAN's penalties, because gradients of gradients cannot be counted
        step(last)
    return spent, counter.get_total_flops() / batch_size


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--configs", nargs="+", default=CONFIGS, choices=CONFIGS)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=100)
    given = options.parse_args()
    print(f"{torch.get_num_threads()} threads, {matrix_product_rate():.0f} GFLOP/s in matrix products")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        root = Path(folder)
        n = (WARM + given.steps) * 128
        write_random_mnist(root, n * 10 // 9)  # a tenth is for validation
        os.environ["MNIST_ROOT"] = folder
        for name in given.configs:
            words = ["--model.init_args.autoencoder_steps=-1"] if name == "vqvae prior" else []
            ratios, rates, peaks, shares = [], [], [], []
            for _ in range(given.rounds):
                peaks.append(matrix_product_rate())
                fit, config = by_fit(name.split()[0], words)
                plain, _ = by_fit(name.split()[0], [*words, "--trainer.callbacks=[]", "--trainer.logger=false"])
                spent, flops = by_hand(config, root)
                ratios.append(sum(spent.values()) / fit)
                rates.append((n - WARM * config["data"]["init_args"]["batch_size"]) / fit)
                added = {"framework": plain - sum(spent.values()), "callbacks": fit - plain}
                shares.append({part: seconds / fit for part, seconds in (spent | added).items()})
            rate, ratio, peak = (statistics.median(values) for values in (rates, ratios, peaks))
            print(
                f"{name:20}{rate:7.0f} images/s | fit / bare loop {ratio:.3f} (of {given.rounds}: {min(ratios):.3f} to {max(ratios):.3f})"
                f" | {flops / 1e6:.1f} MFLOP an image, {flops * rate / peak / 1e9:.2f} of {peak:.0f} GFLOP/s | "
                + ", ".join(f"{part} {statistics.median(share[part] for share in shares):.2f}" for part in shares[0]),
                flush=True,
            )


if __name__ == "__main__":
    main()
