"""Compares one process with two on this CPU, with one thread each: the same batch shared (strong scaling), and twice the batch (weak).

    python -m benchmarks.scale_out [--config vae] [--rounds 3] [--steps 60]

The benchmark also measures one process with two threads, the alternative on one machine, and prints images/s as medians over alternating
rounds.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.throughput import WARM, write_random_mnist
from lit_models.study.machine import matrix_product_rate

WAYS = {  # name: threads per process, processes, batch size over all processes
    "1 process": (1, 1, 128),
    "2 processes, batch shared": (1, 2, 128),
    "2 processes, twice the batch": (1, 2, 256),
    "1 process of 2 threads": (2, 1, 128),
}


class Tell(Callback):
    """Prints the images/s of all processes together, from batch `WARM` to the last. The work at the end of the epoch is not counted."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int) -> None:
        self.end = time.perf_counter()
        if batch_idx == WARM - 1:
            self.start = self.end

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            images = (trainer.global_step - WARM) * trainer.datamodule.batch_size
            print(f"\nimages/s {images / (self.end - self.start):.1f}", flush=True)


def images_per_second(config: str, folder: str, steps: int, threads: int, processes: int, batch: int) -> float:
    command = [str(Path(sys.executable).parent / "lightning"), "fit", "--config", config, "--trainer.max_epochs=1"]
    command += [
        f"--trainer.limit_train_batches={WARM + steps}",
        "--trainer.limit_val_batches=0",
        "--data.init_args.verify=false",
        f"--data.init_args.batch_size={batch}",
    ]
    command += [
        f"--trainer.devices={processes}",
        "--trainer.accelerator=cpu",
        "--import=benchmarks.scale_out",
        "--trainer.callbacks+=benchmarks.scale_out.Tell",
    ]
    command += ["--trainer.strategy=ddp"] if processes > 1 else []
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "MNIST_ROOT": folder, "PYTHONPATH": str(Path(__file__).parent.parent)}
    out = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True).stdout
    found = re.search(r"images/s ([\d.]+)", out)
    assert found, out
    return float(found[1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--config", default="vae")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=60)
    given = options.parse_args()
    print(f"{matrix_product_rate():.0f} GFLOP/s in matrix products")
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        write_random_mnist(Path(folder), 30_000)
        for _ in range(given.rounds):
            for name, way in WAYS.items():
                rates[name].append(images_per_second(given.config, folder, given.steps, *way))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"{given.config}, {name}: {rate:.0f} images/s, {rate / medians['1 process']:.2f} times one process")


if __name__ == "__main__":
    main()
