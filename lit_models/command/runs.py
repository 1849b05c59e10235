"""Run folders: `logs/<config>/<dataset>/version_N`, and the checkpoints inside."""

import os
import re
import shutil
import sys
from pathlib import Path

from lit_models.checkpoints.archive import CheckpointError, check_archive
from lit_models.command.errors import UserError

LOGS = Path("logs")
PASSED_ON = "LIT_GENERATIVE_RUN"  # a process started by another one trains in the same folder


def versions(folder: Path) -> list[Path]:
    """Runs in a folder, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob("version_*") if (match := re.fullmatch(r"version_(\d+)", path.name))]
    return [path for _, path in sorted(found)]


def claim(name: str, dataset: str) -> Path:
    """A new version_N; two runs that start at once get one each, the processes of one run the same."""
    if PASSED_ON in os.environ:
        return Path(os.environ[PASSED_ON])
    parent = LOGS / name / dataset
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
    """Remove a run that never began, and the folders that it alone was in."""
    shutil.rmtree(run, ignore_errors=True)
    for folder in (run.parent, run.parent.parent, run.parent.parent.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def run_of(checkpoint: Path) -> Path | None:
    """The run that a checkpoint lies in."""
    run = checkpoint.parent.parent
    return run if checkpoint.parent.name == "checkpoints" and (run / "config.yaml").is_file() else None


def resolve(given: str, name: str | None = None, dataset: str | None = None) -> Path:
    """The checkpoint meant by a file, a run folder, or, for a config's name and a data set, `last` or `best`.

    A folder of runs means its newest run. A damaged file is passed over for the next, which is said, but not one that was named itself.
    """
    if given in ("last", "best") and name and dataset:
        parent = LOGS / name / dataset
        found = newest_good(versions(parent)[::-1], ("last", "best") if given == "last" else ("best",))
        if found is not None:
            return found
        others = sorted({str(file.parent.parent.parent) for file in LOGS.glob(f"*/*/version_*/checkpoints/{given}.ckpt")} - {str(parent)})
        raise UserError(
            f"expected a run with checkpoints/{given}.ckpt in {parent}/",
            f"found {'runs only in ' + ', '.join(others) if others else 'none'}",
            "leave --ckpt_path out to start anew, or name a checkpoint file",
        )
    path = Path(given)
    if path.is_file():
        return path
    found = newest_good([path, *versions(path)[::-1]], ("best", "last") if name is None else ("last", "best"))
    if found is not None:
        return found
    runs = sorted(LOGS.glob("*/*/version_*/checkpoints/last.ckpt"), key=lambda file: file.stat().st_mtime)
    known = f"the newest run is {runs[-1].parent.parent}" if runs else "train first: lightning fit --config vqvae"
    raise UserError("expected a checkpoint file or a run folder with checkpoints", f"got {given!r}, which is neither", known)


def newest_good(runs: list[Path], kinds: tuple[str, ...]) -> Path | None:
    """The first checkpoint of these runs that is whole, None where there is none at all.

    Raises:
        UserError: If there are only damaged ones.
    """
    passed_over: list[str] = []
    for file in (run / "checkpoints" / f"{kind}.ckpt" for run in runs for kind in kinds):
        if not file.is_file():
            continue
        try:
            check_archive(file)
        except CheckpointError as error:
            passed_over.append(str(error))
            continue
        for words in passed_over:
            print(f"warning  {words}; taking {file} instead", file=sys.stderr, flush=True)
        return file
    if passed_over:
        raise UserError("expected a checkpoint that is whole", f"got only damaged ones: {'; '.join(passed_over)}"[:600], "start anew")
    return None
