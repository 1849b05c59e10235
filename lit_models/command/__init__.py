"""The `lightning` command; `python -m lit_models` is the same program.

This module and those it imports at once (errors, configs, runs, light) need no torch: what can be said without it is said
in a tenth of a second.
"""

import sys

from lit_models.command import light
from lit_models.command.errors import UserError, did_you_mean

LIGHT = {"configs": light.configs, "board": light.board, "--version": light.version, "--help": light.welcome, "-h": light.welcome}
ON_CONFIGS = ("fit", "validate")
ON_RUNS = ("test", "predict", "sample")
ON_ALL = ("study", "judge")


def main(argv: list[str] | None = None) -> int:
    """Run one command; 2 after an error of the user's, in at most three lines on standard error."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        return light.welcome([])
    command, rest = arguments[0], arguments[1:]
    if command in LIGHT:
        return LIGHT[command](rest)
    from lit_models.command.memory import keep_freed_memory

    keep_freed_memory()
    if command in ON_CONFIGS:
        from lit_models.command import train

        return train.run(command, rest)
    if command in ON_RUNS:
        from lit_models.command import use

        return use.run(command, rest)
    if command in ON_ALL:
        from lit_models.command import study

        return getattr(study, command)(rest)
    known = [*ON_CONFIGS, *ON_RUNS, *ON_ALL, *LIGHT]
    raise UserError(f"expected a command: {', '.join(known[:9])}", f"got {command!r}", did_you_mean(command, known) or "see lightning")
