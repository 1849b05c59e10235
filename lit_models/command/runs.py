"""`lightning runs`: a table of the runs in a folder, the newest last."""

import dataclasses
import json
from pathlib import Path

from lit_models.checkpoints.run_list import Run, runs_in
from lit_models.command.arguments import Parser
from lit_models.command.errors import UserError


def run(command: str, arguments: list[str]) -> int:
    options = Parser(prog="lightning runs", description="List the runs of a folder, the newest last.")
    options.add_argument("folder", nargs="?", default="logs", help="a folder of runs; default logs")
    options.add_argument(
        "--json", action="store_true", help="print a list of objects, with the arguments and the newest values of all curves"
    )
    given = options.parse_args(arguments)
    if not Path(given.folder).is_dir():
        raise UserError(
            "expected a folder of runs", f"got {given.folder!r}, which is not there", "train first: lightning fit --config vqvae"
        )
    found = runs_in(Path(given.folder))
    if given.json:
        print(json.dumps([dataclasses.asdict(each) | {"folder": str(each.folder)} for each in found], indent=1))
        return 0
    if not found:
        raise UserError("expected runs", f"got none in {given.folder}", "train first: lightning fit --config vqvae")
    print_table(["config", "data", "epochs", "best", "age", "folder"], [row(each) for each in found])
    return 0


def row(run: Run) -> list[str]:
    best = "" if run.best is None else f"{run.monitor} {run.best:.4g}"
    return [run.config, run.dataset, str(run.epochs), best, in_words(run.age), str(run.folder)]


def name_of(checkpoint: Path) -> str:
    """The run of a checkpoint without the folder of all runs, `vae+beta4/mnist/version_0`; the name of a file that lies elsewhere."""
    return "/".join(checkpoint.resolve().parts[-5:-2]) if checkpoint.parent.name == "checkpoints" else checkpoint.name


def in_words(seconds: float) -> str:
    """An age in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def print_table(heads: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as their longest entry."""
    widths = [max(len(line[column]) for line in [heads, *rows]) for column in range(len(heads))]
    for line in [heads, *rows]:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
