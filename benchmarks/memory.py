"""Measures the gain of keeping freed memory: a training step of the AE with and without it, in alternating processes.

    python -m benchmarks.memory [--rounds 5] [--steps 100]

The benchmark prints the median time of a step and its page faults for both, and the ratio of the two times.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

import torch

from lit_models.command.memory import keep_freed_memory
from lit_models.losses import squared_error
from lit_models.nn.autoencoder import Decoder, Encoder
from lit_models.training.schedules import adam


def steps(n: int) -> None:
    """Print the median time of a step in milliseconds, and the page faults per step."""
    encoder, decoder, images = Encoder(16), Decoder(16), torch.rand(128, 1, 28, 28)
    optimizer = adam([*encoder.parameters(), *decoder.parameters()], 1e-3, n)["optimizer"]
    seconds, faults = [], 0
    for step in range(20 + n):
        if step == 20:
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        start = time.perf_counter()
        optimizer.zero_grad()
        squared_error(decoder(encoder(images)).sigmoid(), images).mean().backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    print(1000 * statistics.median(seconds[20:]), (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / n)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=100)
    options.add_argument("--only", choices=["kept", "given back"], help="one process's part, printed bare")
    given = options.parse_args()
    if given.only:
        if given.only == "kept":
            keep_freed_memory()
        return steps(given.steps)
    found: dict[str, list[list[float]]] = {"kept": [], "given back": []}
    for _ in range(given.rounds):
        for kind, values in found.items():
            words = [sys.executable, "-m", "benchmarks.memory", "--only", kind, "--steps", str(given.steps)]
            values.append([float(word) for word in subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()])
    for kind, values in found.items():
        milliseconds, faults = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{kind:12}{milliseconds:7.2f} ms and {faults:7.1f} page faults a step")
    ratios = [back[0] / kept[0] for kept, back in zip(*found.values(), strict=True)]
    print(f"given back / kept {statistics.median(ratios):.3f} (of {given.rounds}: {min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
