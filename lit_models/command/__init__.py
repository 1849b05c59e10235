"""The `lightning` command; `python -m lit_models` is the same program.

Each command is a file of this room. The files need no torch before their arguments have been checked: what can be answered without it is
answered in a tenth of a second.
"""

import os
import sys
from importlib import import_module

from lit_models.command.errors import UserError
from lit_models.training.configs import did_you_mean

COMMANDS = {
    "fit": "lit_models.command.fit",
    "validate": "lit_models.command.fit",
    "test": "lit_models.command.test",
    "predict": "lit_models.command.predict",
    "sample": "lit_models.command.sample",
    "study": "lit_models.command.study",
    "tune": "lit_models.command.tune",
    "judge": "lit_models.command.judge",
    "export": "lit_models.command.export",
    "explore": "lit_models.command.explore",
    "runs": "lit_models.command.runs",
    "compare": "lit_models.command.compare",
    "configs": "lit_models.command.configs",
    "board": "lit_models.command.board",
    "doctor": "lit_models.command.doctor",
    "completion": "lit_models.command.completion",
    "": "lit_models.command.welcome",
    "--version": "lit_models.command.welcome",
    "--help": "lit_models.command.welcome",
    "-h": "lit_models.command.welcome",
}
WITHOUT_TORCH = ("runs", "configs", "board", "completion", "", "--version", "--help", "-h")


def main(argv: list[str] | None = None) -> int:
    """Run one command. An error of the user's gives at most three lines on standard error, and exit code 2."""
    arguments = sys.argv[1:] if argv is None else argv
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    try:
        if command not in COMMANDS:
            known = [name for name in COMMANDS if name.isalpha()]
            raise UserError(f"expected a command: {', '.join(known)}", f"got {command!r}", did_you_mean(command, known) or "see lightning")
        if command not in WITHOUT_TORCH:
            from lit_models.command.memory import keep_freed_memory
            from lit_models.command.threads import wait_briefly

            keep_freed_memory()
            wait_briefly()
        return import_module(COMMANDS[command]).run(command, rest)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
