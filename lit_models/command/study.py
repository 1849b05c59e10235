"""`lightning study` and `lightning judge`: their words."""

from pathlib import Path

from lit_models.command import runs
from lit_models.command.errors import UserError, did_you_mean
from lit_models.command.use import Parser, explained
from lit_models.training import configs


def study(arguments: list[str]) -> int:
    """Train what is missing, measure it, write the page."""
    options = Parser(prog="lightning study", description="Train models alike, measure them alike, write one page.")
    options.add_argument("--config", "-c", default="study", help="systems, budget and claims; default configs/study.yaml")
    options.add_argument(
        "--output", type=Path, default=Path("study"), help="folder of runs, measures and the page; an earlier study is gone on with"
    )
    options.add_argument(
        "--only", nargs="+", default=[], metavar="SYSTEM", help="these systems; others may run elsewhere, into the same folder"
    )
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    given = options.parse_args(arguments)
    from lit_models.study.plan import read_plan

    plan = read_plan(configs.find(given.config))
    for name in given.only:
        if name not in plan.systems:
            raise UserError(
                f"--only expected systems of the study: {', '.join(plan.systems)}", f"got {name}", did_you_mean(name, plan.systems)
            )
    from lit_models.command.quiet import quiet
    from lit_models.study.study import run_study

    quiet()
    return run_study(plan, given.output, given.only, given.root)


def judge(arguments: list[str]) -> int:
    """Make a judge of two classifiers, or test one: the share of real images, and of each kind of spoilt ones, that it takes for digits."""
    options = Parser(prog="lightning judge", description="Make a judge of two trained classifiers, or test one on its controls.")
    options.add_argument("runs", nargs="*", metavar="RUN", help="two classifiers to make one of; none tests the data set's own")
    options.add_argument("--dataset", default="mnist")
    options.add_argument("--output", type=Path, default=Path("judge.pt"))
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    given = options.parse_args(arguments)
    if len(given.runs) not in (0, 2):
        raise UserError("lightning judge expected two classifiers, or none to test the data set's own", f"got {len(given.runs)}")
    checkpoints = [runs.resolve(run) for run in given.runs]
    from lit_models.command import on_judges

    with explained():
        return on_judges.make(checkpoints, given) if checkpoints else on_judges.report(given)
