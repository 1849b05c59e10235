"""Run folders, `<config>/<dataset>/version_N`, and the checkpoints inside."""

import re
from pathlib import Path

from lit_models.checkpoints.archive import CheckpointError, check_archive
from lit_models.checkpoints.pretrained import shipped


def versions(folder: Path) -> list[Path]:
    """The runs in a folder, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob("version_*") if (match := re.fullmatch(r"version_(\d+)", path.name))]
    return [path for _, path in sorted(found)]


def run_of(checkpoint: Path) -> Path | None:
    """The run that a checkpoint lies in."""
    run = checkpoint.parent.parent
    return run if checkpoint.parent.name == "checkpoints" and (run / "config.yaml").is_file() else None


def find_checkpoint(given: Path, kinds: tuple[str, ...] = ("best", "last")) -> tuple[Path, list[str]]:
    """The checkpoint that is meant by a checkpoint file, a run folder, or a folder of runs (its newest run).

    Returns:
        The file, and a message about each damaged file that was passed over for it.
    Raises:
        FileNotFoundError: If there is none.
        CheckpointError: If there are only damaged ones.
    """
    given = shipped(given) or given
    if given.is_file():
        return given, []
    deeper = sorted((run for depth in ("*", "*/*") for run in given.glob(f"{depth}/version_*")), key=lambda run: -run.stat().st_mtime)
    found = newest_whole([given, *versions(given)[::-1], *deeper], kinds)
    if found is None:
        raise FileNotFoundError(f"expected a checkpoint file or a run folder with checkpoints\ngot {str(given)!r}, which is neither")
    return found


def checkpoints_in(run: Path, kinds: tuple[str, ...]) -> list[Path]:
    """The checkpoints of these kinds; or else, for a run of a plain Trainer, any checkpoints, the newest first."""
    folder = run / "checkpoints"
    found = [file for kind in kinds if (file := folder / f"{kind}.ckpt").is_file()]
    if found or "last" not in kinds or (run / "config.yaml").is_file():
        return found
    return sorted(folder.glob("*.ckpt"), key=lambda file: file.stat().st_mtime, reverse=True)


def newest_whole(runs: list[Path], kinds: tuple[str, ...]) -> tuple[Path, list[str]] | None:
    """The first checkpoint of these runs that is whole, and messages about damaged ones; None where there is no checkpoint at all."""
    passed_over: list[str] = []
    for file in (file for run in runs for file in checkpoints_in(run, kinds)):
        try:
            check_archive(file)
        except CheckpointError as error:
            passed_over.append(str(error))
            continue
        return file, [f"{message}; taking {file} instead" for message in passed_over]
    if passed_over:
        raise CheckpointError(f"expected a checkpoint that is whole\ngot only damaged ones: {'; '.join(passed_over)[:600]}\nstart anew")
    return None
