"""The leaderboard of time to quality: who reaches coverage 0.90 and a KID within three floors in every space with the least work.

    python -m benchmarks.leaderboard add vae_gan --title "VAE/GAN" --config vae_gan --sampler class_gmm --steps 1800 --by "your name"
    python -m benchmarks.leaderboard check                          # what CI runs: all rows, without training
    python -m benchmarks.leaderboard again docs/leaderboard/vae_gan.json    # trains and measures a row anew

`add` trains the config for so many steps, with its schedules scaled to them. It measures 10,000 samples beside 10,000 test images, and
writes the row if the quality is reached. Choose the number of steps on validation images, by which `lightning test RUN` measures.

The work of a row is the seconds of its training times the rate of matrix products that was measured before and after it, in TFLOP. So a
slow machine has no disadvantage. What is said of the rows is in docs/leaderboard/README.md, whose table `add` writes.
"""

import argparse
import contextlib
import io
import json
import math
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from datamodules import ImageDataModule
from datamodules.sources import data_root
from lit_models.checkpoints.loading import open_checkpoint
from lit_models.command import main as lightning
from lit_models.evaluation import Yardstick, yardstick_of
from lit_models.evaluation.sample_quality import key
from lit_models.evaluation.yardstick import floor_of_kid, hash_of_shipped
from lit_models.sampling.samplers import draw
from lit_models.study.columns import SPACES
from lit_models.study.machine import matrix_product_rate
from lit_models.study.measuring import measure_system, measures_of, write_json
from lit_models.study.plan import Plan, System
from lit_models.study.training import Failed, folder_of, run_in, train

Row = dict[str, Any]
ROWS = Path(__file__).parent.parent / "docs" / "leaderboard"
COVERAGE, FLOORS = 0.90, 3
SECONDS, MEGABYTES = 360, 1.0
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("title", "by", "sampler", "machine", "yardstick"), str),
    **dict.fromkeys(("config", "options"), list),
    **dict.fromkeys(("steps", "seed"), int),
    **dict.fromkeys(("seconds", "gflops", "megabytes"), (int, float)),
    **dict.fromkeys(("values", "floors"), dict),
    "one_step": bool,
}  # keys of a row


def work(row: Row) -> float:
    """Seconds of training times the rate of matrix products, in TFLOP."""
    return float(row["seconds"] * row["gflops"] / 1000)


def tracks(row: Row) -> list[str]:
    """The tracks that a row is in. On a GPU there are no CPU minutes."""
    limits = {
        "six CPU minutes": row["seconds"] <= SECONDS and "threads" in row["machine"],
        "one step": row["one_step"],
        "1 MB of weights": row["megabytes"] <= MEGABYTES,
    }
    return [name for name, kept in limits.items() if kept]


def missed(row: Row) -> list[str]:
    """What the samples of a row do not reach; empty if the quality is reached."""
    values, found = row["values"], []
    coverage = values.get("coverage", math.nan)
    if not coverage >= COVERAGE:
        found.append(f"expected a coverage of {COVERAGE:.2f} or more, got {coverage:.3f}")
    for space, floor in row["floors"].items():
        kid, limit = values[key("kid", space)], FLOORS * floor
        if not kid <= limit:
            found.append(f"expected KID{SPACES[space]} <= {limit:.1f}, {FLOORS} floors, got {kid:.1f}")
    return found


def train_and_measure(asked: Row, folder: Path, root: str, yardstick: Yardstick, dataset: str = "mnist") -> Row:
    """The row of what is asked for.

    Raises:
        Failed: If the training ends with an error; the message is the end of its output.
    """
    system = System(
        "row", asked["title"], asked["config"], asked["options"], asked["sampler"], variant_of="row", training_steps=asked["steps"]
    )
    seed, plan = asked["seed"], Plan({"row": system}, [], dataset=dataset, samples=yardstick.n, seeds=[asked["seed"]])
    before = matrix_product_rate()
    train(folder, system, seed, plan, root)
    rate = (before + matrix_product_rate()) / 2
    measure_system(folder, system, seed, plan, yardstick, yardstick, root)
    measured = json.loads(measures_of(folder, system, seed).read_text())
    run = run_in(folder_of(folder, system, seed))
    assert run is not None
    (sampler,) = measured["samplers"]
    real = yardstick.distances(yardstick.held_out[: yardstick.n])  # as in `Yardstick.floor`, without what takes long
    return asked | {
        "sampler": sampler,
        "machine": measured["machine"],
        "seconds": round(measured["trained"]["seconds"], 1),
        "gflops": round(rate, 1),
        "megabytes": round(measured["parameters"] * 4 / 1e6, 3),
        "one_step": in_one_step(run / "checkpoints" / "last.ckpt", sampler),
        "yardstick": yardstick.sha256,
        "values": measured["samplers"][sampler],
        "floors": {space: floor_of_kid(real, space) for space in yardstick.spaces.widths},
    }


def in_one_step(checkpoint: Path, sampler: str) -> bool:
    """Whether no network is called twice for a batch of samples: each module that has weights of its own runs once at most."""
    model, _ = open_checkpoint(checkpoint)
    calls: dict[torch.nn.Module, int] = {}

    def count(module: torch.nn.Module, *_: Any) -> None:
        calls[module] = calls.get(module, 0) + 1

    draw(model, 20, sampler)  # a sampler may fit a density first, which is done once
    hooks = [each.register_forward_hook(count) for each in model.modules() if list(each.parameters(recurse=False))]
    draw(model, 20, sampler)
    for hook in hooks:
        hook.remove()
    return max(calls.values(), default=0) <= 1


def complaints(row: Row, yardstick: str) -> list[str]:
    """What is wrong with a row of the leaderboard, without training it.

    Args:
        yardstick: The hash of the shipped one.
    """
    if set(row) != set(KINDS):
        return [f"expected the keys {', '.join(KINDS)}, got {', '.join(row)}"]
    found = [
        f"expected another kind of value for {name}, got {row[name]!r}" for name, kind in KINDS.items() if not isinstance(row[name], kind)
    ]
    if found:
        return found
    numbers = {"values": ["coverage", "recognisable", *(key("kid", space) for space in SPACES)], "floors": list(SPACES)}
    for part, names in numbers.items():
        found += [f"expected a number as {name} of {part}" for name in names if not isinstance(row[part].get(name), int | float)]
    if found:
        return found
    if row["yardstick"] != yardstick:
        found.append(f"expected measures by the yardstick {yardstick[:12]}, got {row['yardstick'][:12]}: run again FILE")
    if min(row["seconds"], row["gflops"], row["megabytes"], row["steps"]) <= 0:
        found.append("expected seconds, gflops, megabytes and steps above 0")
    said = io.StringIO()
    words = [word for name in row["config"] for word in ("--config", name)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            code: Any = lightning(["fit", *words, *row["options"], "--print_config"])
        except SystemExit as end:  # a config that was printed ends the command so, with 0
            code = end.code
    if code:
        found.append(f"expected a config that lightning fit takes: {' | '.join(said.getvalue().splitlines())}")
    return found + missed(row)


def rows_in(folder: Path) -> dict[str, Row]:
    """All rows by the names of their files, whatever they hold."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def table(rows: dict[str, Row]) -> str:
    """The table of the leaderboard in Markdown, the row of the least work first."""
    lines = [
        "| row | work, TFLOP | seconds | GFLOP/s | MB of weights | coverage | KID in the three spaces | recognisable | tracks | by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in sorted(rows.items(), key=lambda item: work(item[1])):
        values = row["values"]
        kid = ", ".join(f"{values[key('kid', space)]:.1f}" for space in SPACES)
        lines.append(
            f"| [{row['title']}]({name}.json) | {work(row):.1f} | {row['seconds']:.0f} | {row['gflops']:.0f} | {row['megabytes']:.2f} "
            f"| {values['coverage']:.3f} | {kid} | {values['recognisable']:.3f} | {', '.join(tracks(row)) or 'none'} | {row['by']} |"
        )
    return "\n".join(lines) + "\n"


def write_table(folder: Path) -> None:
    page = folder / "README.md"
    page.write_text(re.sub(f"(?s)({BEGIN}).*?({END})", lambda found: found[1] + table(rows_in(folder)) + found[2], page.read_text()))


def check(folder: Path) -> int:
    """Print what is wrong with the rows and the table; 1 if anything is."""
    yardstick, rows = hash_of_shipped("mnist"), rows_in(folder)
    found = [f"{name}: {each}" for name, row in rows.items() for each in complaints(row, yardstick)]
    if not found and table(rows) not in (folder / "README.md").read_text():
        found.append("README.md: expected the table of the rows, got another; add writes it")
    print("\n".join(found) or f"{len(rows)} rows are well")
    return 1 if found else 0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--root", help="folder of the data")
    verbs = options.add_subparsers(dest="verb", required=True)
    adding = verbs.add_parser("add")
    adding.add_argument("name")
    adding.add_argument("--title", required=True)
    adding.add_argument("--by", required=True)
    adding.add_argument("--config", nargs="+", required=True)
    adding.add_argument("--options", nargs="*", default=[])
    adding.add_argument("--sampler")
    adding.add_argument("--steps", type=int, required=True)
    adding.add_argument("--seed", type=int, default=0)
    verbs.add_parser("check")
    verbs.add_parser("again").add_argument("file", type=Path)
    given = options.parse_args()
    if given.verb == "check":
        return check(ROWS)
    settings = ("title", "by", "config", "options", "sampler", "steps", "seed")
    asked = vars(given) if given.verb == "add" else json.loads(given.file.read_text())
    root = str(data_root(given.root)[0])
    yardstick = yardstick_of("mnist", ImageDataModule("mnist", root=root).whole(), split="test")
    with TemporaryDirectory() as folder:
        row = train_and_measure({name: asked[name] for name in settings}, Path(folder), root, yardstick)
    print(table({given.name if given.verb == "add" else given.file.stem: row}))
    if missed(row):
        print("\n".join(missed(row)))
        return 1
    if given.verb == "add":
        write_json(ROWS / f"{given.name}.json", row)
        write_table(ROWS)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(f"the training failed: {error}")
