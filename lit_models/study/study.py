"""Runs a study: what is missing is trained and measured, then the page is written; after a cut the same command goes on."""

import datetime
import os
import time
import traceback
from pathlib import Path
from typing import Any

from datamodules.sources import provide
from lit_models.command.errors import UserError
from lit_models.command.on_runs import load
from lit_models.evaluation.judge import Judge, controls, load_judge, make_judge, save_judge
from lit_models.evaluation.measure import Yardstick
from lit_models.study.machine import machine
from lit_models.study.measuring import measure_system, measures_of
from lit_models.study.plan import Plan, System
from lit_models.study.results import about, write_results
from lit_models.study.training import Failed, folder_of, run_in, train, trained


def run_study(plan: Plan, study: Path, only: list[str], root: str | None) -> int:
    """1 if a system failed, else 0; the page is written in both cases, and after each system.

    Args:
        only: Names of the systems that this process cares for; none means all.
    """
    folder = Path(root or os.environ.get("MNIST_ROOT") or "data")
    provide(plan.dataset, folder, None)
    study.mkdir(parents=True, exist_ok=True)
    judge, recipe = _judge(plan, study, root)
    yardstick, small = (
        Yardstick(plan.dataset, judge, n, root, plan.features == "inception" and n == plan.samples)
        for n in (plan.samples, plan.samples_at_images)
    )
    said = about(plan, machine(), judge.sha256 if judge else None, recipe)
    rows = _controls(yardstick)
    chosen = [system for system in plan.systems.values() if not only or system.name in only]
    every = [(system, seed) for system in chosen for seed in plan.seeds_of(system)]
    todo = sorted(every, key=lambda each: plan.seeds_of(each[0]).index(each[1]))  # one seed of all, then the others
    began, failed = time.monotonic(), 0
    done_before = sum(measures_of(study, system, seed).is_file() for system, seed in todo)
    for number, (system, seed) in enumerate(todo, 1):
        file = measures_of(study, system, seed)
        if file.is_file() and trained(folder_of(study, system, seed), system, plan):
            continue
        print(f"[{number}/{len(todo)}] {system.name}, seed {seed}: {_time_left(began, number - 1 - done_before, len(todo))}", flush=True)
        error = folder_of(study, system, seed) / "error.txt"
        error.unlink(missing_ok=True)
        try:
            start = time.monotonic()
            if not trained(folder_of(study, system, seed), system, plan):
                train(study, system, seed, plan, root)
            between = time.monotonic()
            measure_system(study, system, seed, plan, yardstick, small, root)
            print(f"         trained in {between - start:.0f} s, measured in {time.monotonic() - between:.0f} s", flush=True)
        except Exception as problem:  # a model that fails is a row with its error, and the study goes on
            failed += 1
            error.parent.mkdir(parents=True, exist_ok=True)
            error.write_text(f"{type(problem).__name__}: {problem}" if not isinstance(problem, Failed) else str(problem))
            (error.parent / "traceback.txt").write_text(traceback.format_exc())
            print(f"         failed: {error.read_text()}", flush=True)
        write_results(study, plan, yardstick, said, rows)
    page = write_results(study, plan, yardstick, said, rows)
    print(f"page     {page}\ntable    {study / 'results.csv'}\nclaims   {study / 'results.json'}", flush=True)
    return 1 if failed else 0


def _time_left(began: float, done: int, n: int) -> str:
    """How much of the whole is done, and, from what this process has done so far, how long the rest will take."""
    if done < 1:
        return f"{datetime.datetime.now():%H:%M}"
    rest = (time.monotonic() - began) / done * (n - done)
    return f"{datetime.datetime.now():%H:%M}, about {rest / 60:.0f} minutes to go"


def _judge(plan: Plan, study: Path, root: str | None) -> tuple[Judge | None, str]:
    """The data set's own, or one made for this study where the plan says of which two classifiers."""
    found = load_judge(plan.dataset, root) or load_judge(plan.dataset, root, study / "judge.pt")
    if found is None and plan.judge:
        classifiers = [System(f"judge_{number}", "classifier", config) for number, config in enumerate(plan.judge, 1)]
        for system in classifiers:
            print(f"judge    training {' + '.join(system.config)}", flush=True)
            if not trained(folder_of(study, system, number_of(system)), system, plan):
                train(study, system, number_of(system), plan, root)
        models = [load(_checkpoint(study, system), None)[0] for system in classifiers]
        data = Yardstick(plan.dataset, None, root=root).data
        recipe = "; ".join(f"lightning fit --config {' --config '.join(system.config)}" for system in classifiers) + f" on {plan.dataset}"
        save_judge(make_judge(models[0], models[1], data), plan.dataset, recipe, study / "judge.pt")
        found = load_judge(plan.dataset, root, study / "judge.pt")
    if found is None:
        print(f"judge    none for {plan.dataset}: measures of samples are n/a; name two classifiers under judge: to make one", flush=True)
        return None, ""
    return found


def number_of(system: System) -> int:
    """The seed of a judge's classifier: its place less one, so that the two differ."""
    return int(system.name.rpartition("_")[2]) - 1


def _checkpoint(study: Path, system: System) -> Path:
    run = run_in(folder_of(study, system, number_of(system)))
    if run is None:
        raise UserError(f"expected a run of {system.name} in {study}", "found none")
    return run / "checkpoints" / "best.ckpt"


def _controls(yardstick: Yardstick) -> list[dict[str, Any]]:
    """Rows of the table that are no model's: real images, and what is made of them that is no digit."""
    if yardstick.judge is None:
        return []
    spoilt = controls(yardstick.judge, yardstick.test, yardstick.labels)
    rows = [{"name": f"{yardstick.n} training images (real against real)", "values": yardstick.floor()}]
    return rows + [{"name": name, "values": {"valid": valid}} for name, valid in spoilt.items()]
