"""`test`, `predict` and `sample`: a run or a checkpoint, and no config, for the run knows its own."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from lit_models.command import runs
from lit_models.command.errors import UserError, did_you_mean


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        word = next((word.split("=")[0] for word in message.split() if word.startswith("--")), message)
        raise UserError(
            f"expected {self.prog} CKPT|RUN [options]", f"got {message}", did_you_mean(word, known) or f"see {self.prog} --help"
        )


def parser(command: str) -> argparse.ArgumentParser:
    about = {
        "test": "Measure a model on the official test images.",
        "predict": "Write codes and labels of images as .npz.",
        "sample": "Draw images from a model into a grid (.png) or an array (.npz).",
    }
    options = Parser(prog=f"lightning {command}", description=about[command])
    options.add_argument("run", metavar="CKPT|RUN", help="a checkpoint file, a run folder or a folder of runs")
    options.add_argument("--model", help="class of your own that the checkpoint was trained with, as module.Class")
    if command in ("test", "predict"):
        options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    if command == "test":
        options.add_argument("--samples", type=int, default=10_000, help="how many are drawn and measured (10000); 0 leaves them out")
        options.add_argument(
            "--density", "--prior", dest="density", metavar="NAME", help="what they are drawn from: a latent density or a prior"
        )
        options.add_argument("--draws", type=int, help="nats of 1,000 test images by so many draws each (VAE; 5000 is usual)")
    if command == "predict":
        options.add_argument("--split", choices=("train", "val", "test"), default="test")
        options.add_argument("--output", type=Path, default=Path("codes.npz"))
    if command == "sample":
        options.add_argument("--num", type=int, default=64, help="how many images (64)")
        options.add_argument("--label", type=int, help="the digit asked for; without it all in turn, or none where the model takes none")
        options.add_argument("--noise", type=float, help="decode class centroids with noise of so many class spreads instead")
        options.add_argument("--density", "--prior", dest="prior", metavar="NAME", help="a latent density, or a prior of the VQ-VAE")
        options.add_argument("--seed", type=int, default=0)
        options.add_argument("--output", type=Path, default=Path("samples.png"), help=".png for a grid, .npz for images and labels")
    return options


def run(command: str, arguments: list[str]) -> int:
    given = parser(command).parse_args(arguments)
    checkpoint = runs.resolve(given.run)
    if command == "test" and given.draws is not None and given.draws < 1:
        raise UserError("--draws expected at least 1", f"got {given.draws}")
    if command == "test" and given.samples and given.samples < 100:
        raise UserError("--samples expected 100 at least, or 0", f"got {given.samples}")
    if command == "sample":
        if given.num < 1:
            raise UserError("--num expected at least 1", f"got {given.num}")
        _check_suffix(given.output, (".png", ".npz"))
    if command == "predict":
        _check_suffix(given.output, (".npz",))
    from lit_models.command import on_runs

    with explained():
        return getattr(on_runs, command)(checkpoint, given)


@contextmanager
def explained() -> Iterator[None]:
    """Errors of the user's in three lines; others as they are."""
    from lit_models.command.train import explain

    try:
        yield
    except Exception as error:
        words = explain(error)
        if words:
            raise words from error
        raise


def _check_suffix(output: Path, suffixes: tuple[str, ...]) -> None:
    if output.suffix not in suffixes:
        raise UserError(f"--output expected a file ending in {' or '.join(suffixes)}", f"got {output}")
    if not output.parent.is_dir():
        raise UserError("--output expected a file in a folder that exists", f"got {output}", f"make {output.parent} first")
