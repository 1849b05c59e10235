"""The folder of a new run, and the checkpoint that a command line means."""

import os
import shutil
import sys
from pathlib import Path

from lit_models.checkpoints.archive import CheckpointError
from lit_models.checkpoints.pretrained import WORD, names
from lit_models.checkpoints.runs import find_checkpoint, newest_whole, versions
from lit_models.command.errors import UserError
from lit_models.training.configs import did_you_mean

LOGS = Path("logs")
PASSED_ON = "LIT_GENERATIVE_RUN"  # a process that was started by another one trains in the same folder


def claim(logs: Path, name: str, dataset: str) -> Path:
    """A new version_N. Two runs that start at once get one each; the processes of one run get the same."""
    if PASSED_ON in os.environ:
        return Path(os.environ[PASSED_ON])
    parent = logs / name / dataset
    parent.mkdir(parents=True, exist_ok=True)
    existing = versions(parent)
    number = int(existing[-1].name.removeprefix("version_")) + 1 if existing else 0
    while True:
        try:
            (parent / f"version_{number}").mkdir()
        except FileExistsError:
            number += 1
            continue
        return parent / f"version_{number}"


def discard(run: Path) -> None:
    """Remove a run that never began, and the folders that contained nothing else."""
    shutil.rmtree(run, ignore_errors=True)
    for folder in (run.parent, run.parent.parent, run.parent.parent.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def checkpoint_of(given: str, kinds: tuple[str, ...] = ("best", "last")) -> Path:
    """The checkpoint that is meant by a file, a run folder, or a folder of runs (its newest run)."""
    try:
        found = find_checkpoint(Path(given), kinds)
    except FileNotFoundError as error:
        expected, got = str(error).split("\n")
        raise UserError(expected, got, _remedy(given)) from error
    except CheckpointError as error:
        raise UserError(*str(error).split("\n", 2)) from error
    return _announced(found)


def _remedy(given: str) -> str:
    """What the user may have meant by a path at which there is no checkpoint."""
    known, word = names(), Path(given).name
    if word in known:
        return f"for the trained weights of the package: {word} --pretrained"
    if Path(given).parent.name == WORD:
        return did_you_mean(word, known)
    runs = sorted(LOGS.glob("*/*/version_*/checkpoints/last.ckpt"), key=lambda file: -file.stat().st_mtime)
    if not runs:
        return "train first: lightning fit --config vqvae"
    folders = [str(part) for run in runs for part in (run.parents[1], run.parents[2])]
    return did_you_mean(given.rstrip("/"), folders) or f"the newest run is {runs[0].parents[1]}"


def checkpoint_to_resume(given: str, logs: Path, name: str, dataset: str) -> Path:
    """As `checkpoint_of`, and `last` or `best` of a config's runs on a data set."""
    if given not in ("last", "best"):
        return checkpoint_of(given, ("last", "best"))
    parent = logs / name / dataset
    try:
        found = newest_whole(versions(parent)[::-1], ("last", "best") if given == "last" else ("best",))
    except CheckpointError as error:
        raise UserError(*str(error).split("\n", 2)) from error
    if found is None:
        others = sorted({str(file.parent.parent.parent) for file in logs.glob(f"*/*/version_*/checkpoints/{given}.ckpt")} - {str(parent)})
        raise UserError(
            f"expected a run with checkpoints/{given}.ckpt in {parent}/",
            f"found {'runs only in ' + ', '.join(others) if others else 'none'}",
            "leave --ckpt_path out to start anew, or name a run's folder: lightning fit --ckpt_path RUN",
        )
    return _announced(found)


def _announced(found: tuple[Path, list[str]]) -> Path:
    file, passed_over = found
    for message in passed_over:
        print(f"warning  {message}", file=sys.stderr, flush=True)
    return file
