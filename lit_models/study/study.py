"""Runs a study: trains and measures what is missing, then writes the page. After an interruption the same command resumes it."""

import datetime
import time
from functools import partial
from pathlib import Path

from datamodules.sources import data_root
from lit_models.checkpoints.files import alone_in
from lit_models.study.control_rows import control_rows
from lit_models.study.machine import machine
from lit_models.study.on_ray import on_ray
from lit_models.study.plan import Plan
from lit_models.study.results import about, write_results
from lit_models.study.speed import with_steps
from lit_models.study.tasks import Task, here, is_done
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
        chosen = [system for system in plan.systems.values() if system.name in names]
        every = [Task(system, seed) for system in chosen for seed in plan.seeds_of(system)]
        ordered = sorted(every, key=lambda task: plan.seeds_of(task.system).index(task.seed))  # the first seed of all systems comes first
        todo = [task for task in ordered if not is_done(study, task, plan, yardsticks.last)]
        engine = partial(on_ray, address=address) if on == "ray" else here
        began, failed = time.monotonic(), 0
        for number, done in enumerate(engine(todo, study, plan, yardsticks, root), 1):
            failed += done.failed
            print(f"[{number}/{len(todo)}] {done.task}: {done.said}; {_time_left(began, number, len(todo))}", flush=True)
            write_results(study, plan, yardsticks.last, description, rows)
        page = write_results(study, plan, yardsticks.last, description, rows)
    print(f"page     {page}\ntable    {study / 'results.csv'}\nclaims   {study / 'results.json'}", flush=True)
    return 1 if failed else 0


def _time_left(began: float, done: int, n: int) -> str:
    """The time of day, and an estimate of the time left."""
    rest = (time.monotonic() - began) / done * (n - done)
    return f"{datetime.datetime.now():%H:%M}" + (f", about {rest / 60:.0f} minutes to go" if done < n else "")
