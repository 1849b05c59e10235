"""The arguments of the commands that work on a run: `test`, `predict`, `sample`, `judge` and `study`."""

import argparse
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from lit_models.checkpoints.older_versions import OPTIONS
from lit_models.checkpoints.pretrained import names
from lit_models.command.errors import UserError
from lit_models.training.configs import did_you_mean


class Parser(argparse.ArgumentParser):
    """Errors in three lines, and no abbreviations: `--temp` may mean two options tomorrow."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        word = next((word.split("=")[0].rstrip(":") for word in message.split() if word.startswith("--")), message)
        hint = f"{OPTIONS[word]} has taken its place" if word in OPTIONS else did_you_mean(word, known) if word not in known else ""
        raise UserError(f"expected {self.prog} CKPT|RUN [options]", f"got {message}", hint or f"see {self.prog} --help")

    def parse_args(self, *arguments: Any, **options: Any) -> Any:
        """With `--pretrained` a run is the name of weights in the package."""
        given = super().parse_args(*arguments, **options)
        if getattr(given, "pretrained", False):
            for name in ("run", "runs"):
                if (words := getattr(given, name, None)) is not None:
                    setattr(given, name, f"pretrained/{words}" if isinstance(words, str) else [f"pretrained/{word}" for word in words])
        return given


def run_parser(command: str, description: str, several: bool = False) -> Parser:
    """A parser with `run`, a path, or with `runs`, several of them, and `imports`."""
    options = Parser(prog=f"lightning {command}", description=description)
    name, number = ("runs", "+") if several else ("run", None)
    options.add_argument(name, nargs=number, metavar="CKPT|RUN", help="a checkpoint file, a run folder or a folder of runs")
    add_imports(options)
    options.add_argument("--pretrained", action="store_true", help=f"RUN is a name of trained weights in the package: {', '.join(names())}")
    return options


def add_imports(options: Parser) -> None:
    """The option that names modules of the user's own."""
    options.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="MODULE", help="module of the run's own model or data class"
    )


def add_sampling(options: Parser) -> None:
    """The options that say how a model is sampled; what is left out is the model's own."""
    options.add_argument("--sampler", metavar="NAME", help="what codes are drawn from; by default the model's own sampler")
    options.add_argument(
        "--temperature", type=above_zero, metavar="T", help="below 1 samples vary less; by default the model's own, often 1"
    )
    options.add_argument("--steps", type=whole(1), metavar="N", help="of a model that is sampled in steps: more of them cost more time")
    options.add_argument(
        "--guidance", type=finite, metavar="G", help="of a flow: above 1 samples show their class more clearly and vary less; 0 ignores it"
    )


OPTIONS_OF_SAMPLE = ("temperature", "steps", "guidance")


def sampling_given(given: argparse.Namespace) -> dict[str, Any]:
    """The options of `add_sampling` that the user has given, without the sampler."""
    return {name: getattr(given, name) for name in OPTIONS_OF_SAMPLE if getattr(given, name, None) is not None}


def in_words(options: dict[str, Any]) -> str:
    """Options of sampling at the end of a title: ", temperature 0.7"."""
    return "".join(f", {name} {value:g}" for name, value in options.items())


def finite(word: str) -> float:
    """A number for argparse, which shows the message of an ArgumentTypeError."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"expected a finite number of at least 0, got {word!r}")
    return value


def above_zero(word: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, got {word!r}")
    return value


def seeds(word: str) -> list[int]:
    """Seeds for argparse: `3`, `0-9` or `0,2,5`, and any of these joined by commas."""
    found: list[int] = []
    for part in word.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match is None or int(match[1]) > int(match[2] or match[1]):
            raise argparse.ArgumentTypeError(f"expected seeds such as 3, 0-9 or 0,2,5, got {word!r}")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(found))


def whole(least: int) -> type:
    """A whole number of at least `least`, for argparse."""

    def parse(word: str) -> int:
        if not word.lstrip("-").isdigit() or int(word) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {word!r}")
        return int(word)

    return parse  # type: ignore[return-value]


def check_output(output: Path, suffixes: tuple[str, ...]) -> None:
    if output.suffix not in suffixes:
        raise UserError(f"--output expected a file ending in {' or '.join(suffixes)}", f"got {output}")
    if not output.parent.is_dir():
        raise UserError("--output expected a file in a folder that exists", f"got {output}", f"make {output.parent} first")
