"""Measures on a GPU what a GPU changes, in at most nine minutes; writes one JSON and prints one table.

    python -m benchmarks.gpu [--output gpu.json] [--minutes 9] [--dry]

- Speed, on random images: images/s of `lightning fit` and its ratio to a bare PyTorch loop with the same module, batches and optimiser; the
  use of the GPU and its greatest memory; the same in bfloat16, with compiled networks, and with the data in the memory of the host.
- Resuming with deterministic algorithms: two epochs at once and one after the other have equal weights, bit for bit.
- Two GPUs by NCCL, if there are two: images/s against one.
- Quality, on MNIST if it is there: shipped configs trained as they are and measured on validation images.

Parts for which no time is left are left out and said. `--dry` runs every line on the CPU in about a minute, with few and small steps: its
numbers mean nothing.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.throughput import by_hand, write_random_mnist
from datamodules import ImageDataModule, split
from datamodules.sources import data_root
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.checkpoints.loading import open_checkpoint
from lit_models.command import main as lightning
from lit_models.evaluation import yardstick_of
from lit_models.sampling.samplers import draw, samplers_of

CONFIGS = ["ae", "vae", "vqvae", "gan_conditional", "vae_gan", "latent_flow", "flow", "diffusion", "pixels", "anchored", "pca_ae"]
COMPILED = ["vae", "vqvae", "flow"]
MEASURED = ["vae", "vqvae", "gan_conditional", "latent_flow", "flow"]
WARM = 20
NOTED = "LIT_BENCHMARK_GPU"  # the variable that names the file in which `Clock` notes what it has measured

Row = dict[str, Any]


class Clock(Callback):
    """Notes the seconds from batch `WARM` to the end of training, waiting for the GPU at both, its use in between, and its memory."""

    def __init__(self) -> None:
        self.start, self.uses, self.done = 0.0, [0], threading.Event()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int) -> None:
        if batch_idx == WARM - 1:
            wait()
            self.start = time.perf_counter()
            threading.Thread(target=self._watch, daemon=True).start()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        wait()
        self.done.set()
        memory = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
        found = {"seconds": time.perf_counter() - self.start, "use": sum(self.uses) / len(self.uses), "MB": memory}
        if trainer.is_global_zero:
            Path(os.environ[NOTED]).write_text(json.dumps(found))

    def _watch(self) -> None:
        with contextlib.suppress(Exception):  # without nvidia-ml-py nobody knows the use
            while not self.done.wait(0.05):
                self.uses.append(torch.cuda.utilization())


class Compile(Callback):
    """Compiles the networks of the model."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for network in pl_module.children():
            network.compile()


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def accelerator() -> str:
    return f"--trainer.accelerator={'gpu' if device() == 'cuda' else 'cpu'}"


def quietly(*words: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert lightning([*words]) == 0, " ".join(words)


def speed_words(config: str) -> list[str]:
    shared = [
        "--trainer.max_epochs=1",
        "--trainer.limit_val_batches=0",
        "--data.init_args.epoch_images=null",
        "--data.init_args.verify=false",
    ]
    clock = ["--import=benchmarks.gpu", "--trainer.callbacks+=benchmarks.gpu.Clock"]
    return ["fit", "--config", config, *shared, *clock, accelerator()]


def newest(pattern: str) -> Path:
    return max(Path().glob(pattern), key=lambda file: file.stat().st_mtime)


def speed(config: str, images: int, root: Path) -> Row:
    """Images/s of a config in all its ways."""
    os.environ[NOTED] = str(root / "clock.json")

    def timed(*words: str) -> Row:
        quietly(*speed_words(config), *words)
        found: Row = json.loads((root / "clock.json").read_text())
        return found

    plain = timed()
    settings = yaml.safe_load(newest("logs/*/*/version_*/config.yaml").read_text())
    counted = images - WARM * settings["data"]["init_args"]["batch_size"]
    row = {"images/s": counted / plain["seconds"], "use of the GPU, %": plain["use"], "memory, MB": plain["MB"]}
    if config not in ("latent_flow", "flow", "diffusion", "pixels"):  # a bare loop would have to do what Lightning does for these
        row["fit / bare loop"] = sum(by_hand(settings, root, device())[0].values()) / plain["seconds"]
    row["bf16 / fp32"] = plain["seconds"] / timed("--trainer.precision=bf16-mixed")["seconds"]
    if config in COMPILED:
        row["compiled / plain"] = plain["seconds"] / timed("--trainer.callbacks+=benchmarks.gpu.Compile")["seconds"]
    room, split._has_room = split._has_room, lambda device, size: False
    try:
        row["data on the GPU / on the host"] = timed()["seconds"] / plain["seconds"]
    finally:
        split._has_room = room
    return row


def resume() -> Row:
    """Whether a run that was stopped after an epoch ends with the weights of one that was not."""
    shared = ["fit", "--config", "vqvae", "--config", "fast", "--data.dataset", "digits", "--trainer.deterministic=true"]
    shared += ["--model.autoencoder_steps=20", accelerator()]
    weights = []
    for epochs in ((2,), (1, 2)):
        folder = f"resume_{len(epochs)}"
        for number, epoch in enumerate(epochs):
            again = ["--ckpt_path", "last"] if number else []
            quietly(*shared, f"--trainer.default_root_dir={folder}", f"--trainer.max_epochs={epoch}", "--model.prior_steps=20", *again)
        weights.append(read_checkpoint(newest(f"{folder}/**/last.ckpt"))["state_dict"])
    one, two = weights
    return {"equal weights": all(torch.equal(one[name], two[name]) for name in one if isinstance(one[name], torch.Tensor))}


def two_devices(images: int, root: Path) -> Row:
    """Images/s of two processes against one: NCCL on two GPUs; gloo on a CPU, in a dry run."""
    rates = []
    for number in (1, 2):
        os.environ[NOTED] = str(root / f"clock_{number}.json")
        words = [f"--trainer.devices={number}", *(["--trainer.strategy=ddp"] if number > 1 else [])]
        subprocess.run([sys.executable, "-m", "lit_models", *speed_words("vae"), *words], check=True, capture_output=True)
        counted = max(1, images - number * WARM * 128)  # of both processes, after the first batches of each
        rates.append(counted / json.loads(Path(os.environ[NOTED]).read_text())["seconds"])
    return {"two / one": rates[1] / rates[0]}


def quality(config: str, dry: bool, dataset: str, root: str) -> Row:
    """A config trained as it is shipped, and its samples next to validation images."""
    start = time.monotonic()
    short = ["--config", "fast"] if dry else []
    quietly("fit", "--config", config, *short, "--data.dataset", dataset, "--data.root", root, "--trainer.default_root_dir", "quality")
    seconds = time.monotonic() - start
    model, _ = open_checkpoint(newest(f"quality/{config}*/{dataset}/version_*/checkpoints/last.ckpt"))
    yardstick = yardstick_of(dataset, ImageDataModule(dataset, root=root).whole(), 100 if dry else 5000)
    found = yardstick.distances(*draw(model.to(device()), yardstick.n, next(iter(samplers_of(model)))))
    kept = ("kid", "kid_second", "kid_untrained", "coverage", "recognisable", "control")
    return {"minutes": seconds / 60} | {name: float(found[name]) for name in kept if name in found}


def parts(dry: bool, images: int, folder: Path, real: str | None) -> Iterator[tuple[str, Callable[[], Row]]]:
    """The name of each part, and what measures it."""
    for config in ["vae"] if dry else CONFIGS:
        yield f"speed {config}", lambda config=config: speed(config, images, folder)
    yield "resume", resume
    if dry or torch.cuda.device_count() > 1:
        yield "two devices", lambda: two_devices(images, folder)
    for config in ["vae"] if dry else MEASURED:
        if dry or real is not None:
            yield f"quality {config}", lambda config=config: quality(config, dry, "digits" if dry else "mnist", real or "data")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--output", type=Path, default=Path("gpu.json"))
    options.add_argument("--minutes", type=float, default=9.0)
    options.add_argument("--dry", action="store_true", help="every line, on the CPU, in about a minute")
    given = options.parse_args()
    if not torch.cuda.is_available() and not given.dry:
        raise SystemExit("expected a GPU\ngot none\n--dry runs every line on the CPU")
    output, began = given.output.resolve(), time.monotonic()
    where = data_root(None)[0]
    real = str(where.resolve()) if (where / "MNIST" / "raw").is_dir() else None
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU: a dry run"
    found: Row = {"machine": name, "torch": torch.__version__, "parts": {}}
    images = (WARM + (5 if given.dry else 200)) * 128
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_random_mnist(Path(folder), images * 10 // 9)  # a tenth is for validation
        os.environ["MNIST_ROOT"] = folder
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # which deterministic algorithms need
        for part, measure in parts(given.dry, images, Path(folder), real):
            if time.monotonic() - began > 60 * given.minutes - 60:
                found["parts"][part] = {"left out": "no time was left"}
            else:
                try:
                    found["parts"][part] = measure()
                except Exception as error:  # what fails here is what one wants to know; the other parts go on
                    found["parts"][part] = {"failed": f"{type(error).__name__}: {error}"}
            print(part, in_words(found["parts"][part]), sep=": ", flush=True)
            output.write_text(json.dumps(found, indent=1))
    print(f"written  {output} after {(time.monotonic() - began) / 60:.1f} minutes")
    if given.dry and any("failed" in row for row in found["parts"].values()):
        raise SystemExit(1)


def in_words(row: Row) -> str:
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items())


if __name__ == "__main__":
    main()
