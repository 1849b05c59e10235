"""Measures the time until the command answers and until it trains, and the images sampled per second.

    python -m benchmarks.start [RUN ...] [--rounds 3]

`lightning --help`, `lightning fit --config vae` until the end of its first training step, and `python -c "import torch, lightning.pytorch"`
run in alternation, each in a process of its own. The benchmark prints their times, and the ratios to the time of the import. For each RUN
the benchmark also prints the images/s of `sample(1000)`. A prior over codes is also sampled without a cache of keys and values, so that
each new token needs all tokens to be computed again.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.throughput import write_random_mnist
from lit_models.checkpoints.loading import load
from lit_models.nn.transformer import CodePrior, draw_from
from lit_models.study.machine import matrix_product_rate

COMMANDS = {
    "import torch, lightning.pytorch": [sys.executable, "-c", "import torch, lightning.pytorch"],
    "--help": [sys.executable, "-m", "lit_models", "--help"],
    "first step": [
        sys.executable,
        "-m",
        "lit_models",
        "fit",
        "--config",
        "vae",
        "--import=benchmarks.start",
        "--trainer.callbacks+=benchmarks.start.Leave",
    ],
}


class Leave(Callback):
    """Ends the process after the first training step."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int) -> None:
        os._exit(0)


def seconds(command: list[str], folder: str) -> float:
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "MNIST_ROOT": folder}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


@torch.no_grad()
def sample_without_cache(prior: CodePrior, labels: torch.Tensor) -> torch.Tensor:
    codes = torch.zeros(len(labels), prior.length, dtype=torch.long)
    for position in range(prior.length):
        codes[:, position] = draw_from(prior(codes, labels)[:, position].softmax(dim=-1), None)
    return codes


@torch.no_grad()
def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", nargs="*", metavar="RUN")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    print(f"{matrix_product_rate():.0f} GFLOP/s in matrix products")
    with tempfile.TemporaryDirectory() as folder:
        write_random_mnist(Path(folder), 70_000)
        taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(given.rounds):
            for name, command in COMMANDS.items():
                taken[name].append(seconds(command, folder))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s, {median / next(iter(medians.values())):.2f} times the import")
    for run in given.runs:
        model = load(run)
        start = time.perf_counter()
        model.sample(1000)
        print(f"{run}: {1000 / (time.perf_counter() - start):.0f} images/s")
        if isinstance(prior := getattr(model, "prior", None), CodePrior):
            labels = torch.arange(1000) % 10
            rates = []
            for draw_codes in (lambda asked: prior.draw(len(asked), asked), lambda asked: sample_without_cache(prior, asked)):
                start = time.perf_counter()
                draw_codes(labels)
                rates.append(1000 / (time.perf_counter() - start))
            kept, anew = rates
            print(f"{run}: codes of {kept:.0f} images/s with keys and values kept, {anew:.0f} without: {kept / anew:.1f} times")


if __name__ == "__main__":
    main()
