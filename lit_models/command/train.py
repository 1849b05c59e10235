"""`fit` and `validate`, as far as they go without torch: configs by name, and errors in three lines."""

import os
import re
import sys
from pathlib import Path

from lit_models.command import configs, runs
from lit_models.command.errors import UserError

OURS = ("lit_models", "datamodules", "callbacks")


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
    sys.argv = [sys.argv[0], command, *arguments]  # Lightning starts further processes with these words

    from lit_models.command.cli import Command, RunRecord

    RunRecord.begun, RunRecord.claimed = False, None
    passed_on = os.environ.get(runs.PASSED_ON)
    try:
        Command.start(name)
    except BaseException as error:
        if RunRecord.begun:
            raise
        if RunRecord.claimed:
            runs.discard(RunRecord.claimed)
        explained = explain(error)
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


def explain(error: BaseException) -> UserError | None:
    """What went wrong before the first batch, in three lines; None if it happened in code of the user's own."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if isinstance(error, UserError):
        return error
    if not isinstance(error, (ValueError, TypeError, OSError, RuntimeError, MisconfigurationException)):
        return None
    while error.__cause__ is not None:  # jsonargparse wraps what a constructor has raised
        error = error.__cause__
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    source = Path(trace.tb_frame.f_code.co_filename).resolve() if trace else Path()
    home = configs.SHIPPED.parent
    if "site-packages" not in source.parts and not any(source.is_relative_to(home / part) for part in OURS):
        return None
    return shortened(str(error) or type(error).__name__)


def shortened(message: str) -> UserError:
    """A long message as three lines of what it says first."""
    lines = [line.strip() for line in re.split(r"\n|(?<=[^.]{12}):? (?=expected |got |found |resume |set )", message) if line.strip()]
    return UserError(*[line[:300] for line in [*lines[:2], " ".join(lines[2:]), ""][: max(2, min(3, len(lines)))]])
