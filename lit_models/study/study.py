"""Runs a study: trains and measures what is missing, then writes the page. After an interruption the same command resumes it."""

import datetime
import time
from collections.abc import Collection, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from datamodules.sources import data_root
from lit_models.checkpoints.files import alone_in
from lit_models.study.control_rows import control_rows
from lit_models.study.machine import machine
from lit_models.study.on_ray import on_ray
from lit_models.study.plan import Plan
from lit_models.study.results import about, write_results
from lit_models.study.speed import with_steps
from lit_models.study.tasks import Search, Task, Training, here
from lit_models.study.yardsticks import yardsticks_of


def run_study(plan: Plan, study: Path, only: list[str], root: str | None, on: str = "local", address: str | None = None) -> int:
    """Run a study in a folder. The page is written after each system, and at the end.

    Args:
        plan: With its variants (`Plan.with_variants`).
        only: Names of the systems that are trained and measured, with their variants; an empty list means all.
        root: Folder of the data; default `$MNIST_ROOT`, else `data/`.
        on: The engine: `local`, one task after the other in this process, or `ray` (`lit_models.study.on_ray`).
        address: Of a Ray cluster; None is this machine.
    Returns:
        1 if a system failed, else 0.
    """
    root = str(data_root(root)[0])
    with alone_in(study, "wait, take another --output, or use many machines by --on ray"):
        yardsticks = yardsticks_of(plan, study, root)
        description = about(plan, machine(), yardsticks.last, yardsticks.small, yardsticks.recipe)
        rows = control_rows(study, yardsticks.last)
        names = {each.name for each in plan.systems.values() if not only or {each.name, each.variant_of} & set(only)}
        plan = with_steps(plan, names, study, root)
        engine = partial(on_ray, address=address) if on == "ray" else here
        failed = 0

        def carry_out_all(tasks: Sequence[Task]) -> None:
            nonlocal failed
            todo = [task for task in tasks if not task.is_done(study, plan, yardsticks)]
            began = time.monotonic()
            for number, done in enumerate(engine(todo, study, plan, yardsticks, root) if todo else (), 1):
                failed += done.failed
                print(f"[{number}/{len(todo)}] {done.task}: {done.said}; {_time_left(began, number, len(todo))}", flush=True)
                write_results(study, plan, yardsticks.last, description, rows)

        carry_out_all(_trainings(plan, names))
        searches = [Search(system) for system in plan.tuned()]
        if searches and find_spec("optuna") is None:
            print("tuning   left out: it needs Optuna, pip install 'lit-generative[tune]'", flush=True)
        else:
            carry_out_all([search for search in searches if search.system.name in names])
        for search in searches:
            values = search.found(study, plan, yardsticks.small)
            if values is not None:
                plan = plan.with_tuned(search.system, values)
        names = {system.name for system in plan.systems.values() if system.tuned and system.variant_of in names}
        plan = with_steps(plan, names, study, root)
        carry_out_all(_trainings(plan, names))
        page = write_results(study, plan, yardsticks.last, description, rows)
    print(f"page     {page}\ntable    {study / 'results.csv'}\nclaims   {study / 'results.json'}", flush=True)
    return 1 if failed else 0


def _trainings(plan: Plan, names: Collection[str]) -> list[Training]:
    """The trainings of the named systems, the first seed of all systems first."""
    every = [Training(system, seed) for system in plan.systems.values() if system.name in names for seed in plan.seeds_of(system)]
    return sorted(every, key=lambda task: plan.seeds_of(task.system).index(task.seed))


def _time_left(began: float, done: int, n: int) -> str:
    """The time of day, and an estimate of the time left."""
    rest = (time.monotonic() - began) / done * (n - done)
    return f"{datetime.datetime.now():%H:%M}" + (f", about {rest / 60:.0f} minutes to go" if done < n else "")
