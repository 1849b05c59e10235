"""`lightning study`: train what is missing, measure it, write the page."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lit_models.command.arguments import Parser, seeds
from lit_models.command.errors import UserError, explained
from lit_models.training import configs
from lit_models.training.configs import did_you_mean

if TYPE_CHECKING:
    from lit_models.study.plan import Plan


def _with_added(plan: "Plan", names: list[str]) -> "Plan":
    """The plan with a system for each config."""
    from lit_models.study.plan import System

    files = [configs.find(name) for name in names]
    added = {file.stem: System(file.stem, file.stem, [str(file)]) for file in files}
    for name in added:
        if name in plan.systems:
            remedy = f"rename the file, or give --only {name}"
            raise UserError(f"--add expected names that the study lacks: it has {', '.join(plan.systems)}", f"got {name}", remedy)
    return replace(plan, systems=plan.systems | added)


def run(command: str, arguments: list[str]) -> int:
    options = Parser(prog="lightning study", description="Train models alike, measure them alike, write one page.")
    options.add_argument("--config", "-c", default="study", help="systems, budget and claims; default configs/study.yaml")
    options.add_argument(
        "--add",
        nargs="+",
        default=[],
        metavar="CONFIG",
        help="your own models: only they are trained, the measures of the others are shipped",
    )
    options.add_argument("--output", type=Path, default=Path("study"), help="folder of runs and the page; a study in it is resumed")
    options.add_argument(
        "--only", nargs="+", default=[], metavar="SYSTEM", help="only these, with their variants of other lengths and widths"
    )
    options.add_argument(
        "--seeds", type=seeds, metavar="0-9", help="of the weights, for every system: 3, 0-9 or 0,2,5; default those of the plan"
    )
    options.add_argument(
        "--on", choices=("local", "ray"), default="local", help="one training after another (default), or as many as Ray has room for"
    )
    options.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster, with --on ray; default $RAY_ADDRESS, else this machine")
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    given = options.parse_args(arguments)
    from lit_models.study.plan import read_plan

    with explained():
        plan = read_plan(configs.find(given.config))
        plan = (plan.with_seeds(given.seeds) if given.seeds else plan).with_variants()
        if given.add:
            plan, given.only = _with_added(plan, given.add), [*given.only, *(Path(name).stem for name in given.add)]
        for name in given.only:
            if name not in plan.systems:
                remedy = did_you_mean(name, plan.systems)
                raise UserError(f"--only expected systems of the study: {', '.join(plan.systems)}", f"got {name}", remedy)
        if given.address and given.on != "ray":
            raise UserError("--address expected --on ray", f"got --on {given.on}", "--address is that of a Ray cluster")
        from lit_models.command.silence import silence
        from lit_models.study.study import run_study

        if given.add:
            from lit_models.study.shipped import begin_with_shipped

            begin_with_shipped(given.output)
        silence()
        return run_study(plan, given.output, given.only, given.root, given.on, given.address)
