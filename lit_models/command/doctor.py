"""`lightning doctor`: what this machine has, and what stands in the way of a training."""

import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lit_models import __version__
from lit_models.command.arguments import Parser
from lit_models.command.run_folders import LOGS

GIGABYTES = 2  # free disk space below which a warning is printed


class Finding(NamedTuple):
    """A line of the report; `remedy` is empty where nothing is wrong."""

    what: str
    found: str
    remedy: str = ""


def run(command: str, arguments: list[str]) -> int:
    options = Parser(prog="lightning doctor", description="Print versions, data, devices and folders, and what is wrong with them.")
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    given = options.parse_args(arguments)
    wrong = 0
    for finding in itertools.chain(versions(), commands(), data(given.root), folders(), devices()):
        wrong += bool(finding.remedy)
        print(f"{'!' if finding.remedy else ' '} {finding.what:12} {finding.found}", flush=True)
        if finding.remedy:
            print(f"  {'':12} {finding.remedy}", flush=True)
    print("\nall is well" if not wrong else f"\n{wrong} of these lines need a look: they begin with !")
    return int(wrong > 0)


def versions() -> Iterator[Finding]:
    """Of Python, of this package, and of the packages that it needs."""
    from packaging.requirements import Requirement

    yield Finding("python", f"{sys.version.split()[0]}, {sys.executable}")
    yield Finding("lit-generative", f"{__version__}, {Path(__file__).parents[2]}")
    for line in metadata.requires("lit-generative") or []:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            yield Finding(needed.name, "not installed", f"pip install '{needed.name}{needed.specifier}'")
            continue
        fits = needed.specifier.contains(found, prereleases=True)
        yield Finding(needed.name, found, "" if fits else f"expected {needed.specifier}: pip install '{needed.name}{needed.specifier}'")


def commands() -> Iterator[Finding]:
    """The programs with the name `lightning` on the PATH; the first one is what a terminal starts. lightning-sdk brings one, too."""
    found = [Path(folder) / "lightning" for folder in dict.fromkeys(os.get_exec_path()) if os.access(Path(folder) / "lightning", os.X_OK)]
    if not found:
        yield Finding("command", "no lightning on the PATH", f"activate the environment, or use {sys.executable} -m lit_models")
        return
    ours = is_ours(found[0])
    remedy = (
        ""
        if ours
        else f"it is of another package: use {sys.executable} -m lit_models, or put {Path(sys.executable).parent} first on the PATH"
    )
    yield Finding("command", str(found[0]), remedy)


def is_ours(program: Path) -> bool:
    return "lit_models" in program.read_text(errors="ignore")[:1000]


def data(root: str | None) -> Iterator[Finding]:
    """Data sets with a name that a training would find without a download."""
    from datamodules.named import NAMES
    from datamodules.sources import data_root, is_there

    folder, _ = data_root(root)
    found = [name for name in NAMES if is_there(name, folder)]
    remedy = "" if "mnist" in found else "mnist is downloaded at the first training, or put its files there, or set MNIST_ROOT"
    yield Finding("data", f"{', '.join(found) or 'none'} in {folder}", remedy)


def folders() -> Iterator[Finding]:
    """The folder of runs can be written and has room."""
    place = LOGS if LOGS.is_dir() else Path()
    free = shutil.disk_usage(place).free / 2**30
    if not os.access(place, os.W_OK):
        yield Finding("runs", f"{place.resolve()} cannot be written", "work in another folder, or give --trainer.default_root_dir DIR")
    else:
        yield Finding("runs", f"{place.resolve()}, {free:.0f} GB free", "" if free > GIGABYTES else "make room: a run takes some 100 MB")


def devices() -> Iterator[Finding]:
    """GPUs, and the speed of the processor in products of matrices, by which the minutes in the README can be compared."""
    import torch

    from lit_models.study.machine import machine

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield Finding("gpu", torch.cuda.get_device_name(number))
    elif torch.backends.mps.is_available():
        yield Finding("gpu", "mps")
    else:
        yield Finding("gpu", "none: trainings use the processor")
    yield Finding("processor", machine())
