"""`lightning compare`: several runs in one table and one picture."""

from argparse import Namespace
from pathlib import Path

from lit_models.checkpoints.run_list import Run, differing, run_in
from lit_models.command.arguments import Parser, add_imports, check_output, whole
from lit_models.command.errors import UserError, explained
from lit_models.command.run_folders import checkpoint_of
from lit_models.command.runs import in_words, name_of, print_table

WIDEST = 28  # letters of a value in the table


def run(command: str, arguments: list[str]) -> int:
    options = Parser(
        prog="lightning compare", description="Show what differs between runs, their newest curves, and samples of all in one picture."
    )
    options.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or folders of runs (their newest runs)")
    options.add_argument("--output", type=Path, default=Path("compare.png"), metavar="FILE", help="the picture; default compare.png")
    options.add_argument(
        "--num", type=whole(1), default=10, metavar="N", help="samples per run (10); of models that take labels, the classes in turn"
    )
    options.add_argument("--seed", type=whole(0), default=0, help="of the noise, the same for all runs (0)")
    add_imports(options)
    given = options.parse_args(arguments)
    if len(given.runs) < 2:
        raise UserError("expected lightning compare RUN RUN ...", f"got one run, {given.runs[0]}", "lightning runs lists the runs")
    check_output(given.output, (".png",))
    checkpoints = [checkpoint_of(name) for name in given.runs]
    folders = [checkpoint.parent.parent for checkpoint in checkpoints]
    for folder in folders:
        if not (folder / "config.yaml").is_file():
            raise UserError("expected runs of lightning fit, which have a config.yaml", f"got {folder}", "lightning runs lists the runs")
    table([run_in(folder) for folder in folders], [name_of(checkpoint) for checkpoint in checkpoints])
    with explained():
        picture(checkpoints, given)
    print(f"\n{given.output}")
    return 0


def table(runs: list[Run], names: list[str]) -> None:
    """A column per run: arguments that differ, then the newest value of each curve of validation images."""
    rows = [["epochs", *(str(run.epochs) for run in runs)], ["age", *(in_words(run.age) for run in runs)]]
    for name in differing(runs):
        rows.append([name, *(short(run.arguments.get(name, "")) for run in runs)])
    curves = dict.fromkeys(name for run in runs for name in run.curves if name.startswith("val/"))
    for name in curves:
        rows.append([name, *(f"{run.curves[name]:.4g}" if name in run.curves else "" for run in runs)])
    print_table(["", *names], rows)


def picture(checkpoints: list[Path], given: Namespace) -> None:
    """A row of samples per run."""
    import torch
    from PIL import Image

    from callbacks.figures.picture import grid_picture
    from lit_models.command.opened_run import OpenedRun
    from lit_models.command.silence import silence
    from lit_models.contracts import CanSample
    from lit_models.sampling.samplers import draw, samplers_of

    silence()
    images: list[torch.Tensor] = []
    names: list[str] = []
    for checkpoint in checkpoints:
        opened = OpenedRun(checkpoint, given.imports)
        name = name_of(checkpoint)
        if not isinstance(opened.model, CanSample):
            print(f"left out of the picture: {name} ({type(opened.model).__name__} cannot be sampled)")
            continue
        sampler = next(iter(samplers_of(opened.model)))
        found, _ = draw(opened.model, given.num, sampler, seed=given.seed)
        if images and found.shape[1:] != images[0].shape[1:]:
            raise UserError(
                f"expected runs with images of one shape, such as {tuple(images[0].shape[1:])}", f"got {tuple(found.shape[1:])} of {name}",
                "compare runs of one data set",
            )  # fmt: skip
        images.append(found.cpu())
        names.append(name)
    if not images:
        raise UserError("expected at least one run that can be sampled", "got none", "train one: lightning fit --config vae")
    names = without_common_end(names)
    title = f"samples of {len(images)} runs from the same seed"
    Image.fromarray(grid_picture(torch.cat(images), given.num, title, rows=names)).save(given.output)


def without_common_end(names: list[str]) -> list[str]:
    """Names of runs without the parts at their ends that all share: `vae` and `vae+beta4` of the first versions on one data set."""
    parts = [name.split("/") for name in names]
    while all(len(each) > 1 for each in parts) and len({each[-1] for each in parts}) == 1:
        parts = [each[:-1] for each in parts]
    return ["/".join(each) for each in parts]


def short(value: object) -> str:
    word = f"{value:g}" if isinstance(value, float) else str(value)
    return word if len(word) <= WIDEST else f"{word[: WIDEST - 1]}…"
