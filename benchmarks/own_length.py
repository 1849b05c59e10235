"""Whether settings that a search found help at the model's own length, too: 5,000 samples next to as many validation images.

    python -m benchmarks.own_length vqvae --seeds 0 1                                    # the shipped settings
    python -m benchmarks.own_length vqvae --seeds 0 1 --model.lr=0.03 --data.batch_size=64

A search has short trials, and what helps them need not help a longer training. Each training adds a line to
`docs/study/tuning/own_length.csv`, of which `python -m benchmarks.tables` makes a table. One that is there is not made again.
"""

import argparse
import csv
import hashlib
from pathlib import Path
from typing import Any

from datamodules import ImageDataModule
from datamodules.sources import data_root
from lit_models import load
from lit_models.evaluation.sample_quality import key
from lit_models.evaluation.yardstick import yardstick_of
from lit_models.sampling.samplers import draw, samplers_of
from lit_models.study.plan import read_plan
from lit_models.study.training import fit, run_in
from lit_models.study.tuning import OBJECTIVE, distance
from lit_models.training import configs

TABLE = Path(__file__).parent.parent / "docs" / "study" / "tuning" / "own_length.csv"
SAMPLES = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", help="of configs/study.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--output", type=Path, default=Path("logs/own_length"), help="folder of the runs")
    asked, options = parser.parse_known_args()
    for seed in asked.seeds:
        known = lines() if TABLE.is_file() else []
        if not any((line["system"], line["options"], line["seed"]) == (asked.system, " ".join(options), str(seed)) for line in known):
            found = measured(asked.system, options, seed, asked.output)
            with TABLE.open("a", newline="") as stream:
                writer = csv.DictWriter(stream, found)
                if not known:
                    writer.writeheader()
                writer.writerow(found)
            print(found, flush=True)


def lines() -> list[dict[str, str]]:
    """All that was measured."""
    with TABLE.open(newline="") as stream:
        return list(csv.DictReader(stream))


def measured(name: str, options: list[str], seed: int, output: Path) -> dict[str, Any]:
    """Train a system with other options and measure it. A training that is there is not made again."""
    system, root = read_plan(configs.find("study")).systems[name], str(data_root(None)[0])
    folder = output / f"{name}_{hashlib.sha256(' '.join(options).encode()).hexdigest()[:8]}_{seed}"
    if not (folder / "done").is_file():
        fit(folder, system.config, "mnist", root, [f"--seed_everything={seed}", *system.options, *options])
        (folder / "done").touch()
    run = run_in(folder)
    assert run is not None
    model = load(run)
    yardstick = yardstick_of("mnist", ImageDataModule("mnist", root=root).whole(), SAMPLES, "val")
    found = yardstick.distances(*draw(model, SAMPLES, system.sampler or next(iter(samplers_of(model)))))
    spaces = list(yardstick.spaces.widths)
    cells = {key(measure, space): f"{found[key(measure, space)]:.3f}" for measure in ("kid", "kid_error", "coverage") for space in spaces}
    return {"system": name, "options": " ".join(options), "seed": seed, OBJECTIVE: f"{distance(found, spaces):.3f}"} | cells


if __name__ == "__main__":
    main()
