"""`fit` and `validate`, as far as they go without torch: configs by name, and errors in three lines."""

import errno
import os
import sys
import sysconfig
import traceback
from pathlib import Path

from lit_models.command import runs, trust
from lit_models.command.errors import UserError
from lit_models.training import configs

OURS = ("lit_models", "datamodules", "callbacks")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


def run(command: str, arguments: list[str]) -> int:
    """Look the configs up before anything heavy is imported, then hand over to LightningCLI."""
    files, arguments = configs.take_configs(arguments)
    asks = any(word in ("--help", "-h") or word.startswith(("--print_config", "--model.help", "--data.help")) for word in arguments)
    if not files and not asks and not any(word.startswith("--model") for word in arguments):
        raise UserError(
            f"expected lightning {command} --config NAME", "got no config", "lightning configs lists them; vqvae is a good start"
        )
    name = configs.run_name(files) if files else "run"
    add_to_path(Path.cwd(), *(file.parent for file in files))
    trust.check_class_paths(files, arguments, trust.take_imports(arguments))
    sys.argv = [sys.argv[0], command, *arguments]  # Lightning starts further processes with these words

    from lit_models.command.cli import Command, RunRecord

    RunRecord.begun, RunRecord.claimed = False, None
    passed_on = os.environ.get(runs.PASSED_ON)
    try:
        Command.start(name)
    except BaseException as error:
        if RunRecord.claimed and not RunRecord.begun:
            runs.discard(RunRecord.claimed)
        explained = explain_stop(error) or (None if RunRecord.begun else explain(error))
        if explained:
            raise explained from error
        raise
    finally:
        if passed_on is None:
            os.environ.pop(runs.PASSED_ON, None)
    return 0


def add_to_path(*folders: Path) -> None:
    """For classes of the user's own; last, or a `callbacks` folder of theirs would hide ours."""
    sys.path += [folder for folder in dict.fromkeys(map(str, folders)) if folder not in sys.path]


def explain_stop(error: BaseException) -> UserError | None:
    """What ended a run that had begun, in three lines, where its user can mend it; a traceback serves any other better."""
    from callbacks.stop_when_not_finite import NotFinite

    if isinstance(error, NotFinite):
        return UserError("expected losses, gradients, weights and buffers to be finite", *str(error).split(": ", 1))
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return UserError(
            f"expected access to {error.filename or 'the disk'}, and room on it",
            f"got {error.strerror}",
            "files written before are whole: make room or give access, then go on with --ckpt_path last",
        )
    return None


def explain(error: BaseException) -> UserError | None:
    """What went wrong before the first batch, in three lines; None if code of the user's own took part, for that needs a traceback."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if isinstance(error, UserError):
        return error
    if not isinstance(error, (ValueError, TypeError, OSError, RuntimeError, MisconfigurationException)):
        return None
    while error.__cause__ is not None and "jsonargparse" in _files(error)[-1].parts:  # it wraps what a constructor has raised
        error = error.__cause__
    if any(_is_users(file) for file in _files(error)):
        return None
    lines = [line.strip()[:300] for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    device = isinstance(error, MisconfigurationException) and "accelerator" in str(error)
    remedy = "leave --trainer.accelerator and --trainer.devices out, or add --config cpu" if device else " ".join(lines[2:])[:300]
    return UserError(lines[0], lines[1] if lines[1:] else "", remedy)


def _files(error: BaseException) -> list[Path]:
    """The files that the error went through, the one that raised it last."""
    return [Path(frame.filename).resolve() for frame in traceback.extract_tb(error.__traceback__)] or [Path()]


def _is_users(file: Path) -> bool:
    known = [configs.SHIPPED.parent / part for part in OURS] + [Path(sysconfig.get_path("stdlib"))]
    return file.suffix == ".py" and "site-packages" not in file.parts and not any(file.is_relative_to(folder) for folder in known)
