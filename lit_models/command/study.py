"""`lightning study`: train what is missing, measure it, write the page."""

from pathlib import Path

from lit_models.command.arguments import Parser
from lit_models.command.errors import UserError, explained
from lit_models.training import configs
from lit_models.training.configs import did_you_mean


def run(command: str, arguments: list[str]) -> int:
    options = Parser(prog="lightning study", description="Train models alike, measure them alike, write one page.")
    options.add_argument("--config", "-c", default="study", help="systems, budget and claims; default configs/study.yaml")
    options.add_argument("--output", type=Path, default=Path("study"), help="folder of runs and the page; a study in it is resumed")
    options.add_argument("--only", nargs="+", default=[], metavar="SYSTEM", help="only these; others may run elsewhere at the same time")
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    given = options.parse_args(arguments)
    from lit_models.study.plan import read_plan

    with explained():
        plan = read_plan(configs.find(given.config))
        for name in given.only:
            if name not in plan.systems:
                remedy = did_you_mean(name, plan.systems)
                raise UserError(f"--only expected systems of the study: {', '.join(plan.systems)}", f"got {name}", remedy)
        from lit_models.command.silence import silence
        from lit_models.study.study import run_study

        silence()
        return run_study(plan, given.output, given.only, given.root)
