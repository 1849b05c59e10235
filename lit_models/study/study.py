"""Runs a study: trains and measures what is missing, then writes the page. After an interruption the same command resumes it."""

import datetime
import time
import traceback
from pathlib import Path

from datamodules import ImageDataModule
from datamodules.sources import data_root
from lit_models.checkpoints.loading import open_checkpoint
from lit_models.evaluation.features import spaces_of
from lit_models.evaluation.judge import Judge, judge_of, known_images, load_judge, make_judge, save_judge
from lit_models.evaluation.yardstick import Yardstick
from lit_models.study.control_rows import control_rows
from lit_models.study.machine import machine
from lit_models.study.measuring import is_measured, measure_system
from lit_models.study.plan import Plan, System
from lit_models.study.results import about, write_results
from lit_models.study.training import Failed, folder_of, run_in, train, trained


def run_study(plan: Plan, study: Path, only: list[str], root: str | None) -> int:
    """Run a study in a folder. The page is written after each system, and at the end.

    Args:
        only: Names of the systems that this process trains and measures; an empty list means all.
        root: Folder of the data; default `$MNIST_ROOT`, else `data/`.
    Returns:
        1 if a system failed, else 0.
    """
    root = str(data_root(root)[0])
    data = ImageDataModule(plan.dataset, root=root).whole()
    study.mkdir(parents=True, exist_ok=True)
    judge, recipe = _judge(plan, study, data, root)
    spaces = spaces_of(plan.dataset, data.images("train")[0], data=data)
    small = Yardstick(data, judge, spaces, plan.samples_at_images, "val")
    yardstick = Yardstick(data, judge, spaces, plan.samples, "test", plan.features == "inception")  # of the last measurement alone
    description = about(plan, machine(), yardstick, small, recipe)
    rows = control_rows(study, yardstick)
    chosen = [system for system in plan.systems.values() if not only or system.name in only]
    every = [(system, seed) for system in chosen for seed in plan.seeds_of(system)]
    todo = sorted(every, key=lambda each: plan.seeds_of(each[0]).index(each[1]))  # the first seed of all systems, then the others
    began, failed = time.monotonic(), 0
    done_before = sum(is_measured(study, system, seed, yardstick) for system, seed in todo)
    for number, (system, seed) in enumerate(todo, 1):
        if is_measured(study, system, seed, yardstick) and trained(folder_of(study, system, seed), system, plan):
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
        except Exception as problem:  # a system that fails gets a row with its error, and the study continues
            failed += 1
            error.parent.mkdir(parents=True, exist_ok=True)
            message = str(problem) if isinstance(problem, Failed) else f"{type(problem).__name__}: {problem}"
            error.write_text(" | ".join(message.splitlines()))
            (error.parent / "traceback.txt").write_text(traceback.format_exc())
            print(f"         failed: {error.read_text()}", flush=True)
        write_results(study, plan, yardstick, description, rows)
    page = write_results(study, plan, yardstick, description, rows)
    print(f"page     {page}\ntable    {study / 'results.csv'}\nclaims   {study / 'results.json'}", flush=True)
    return 1 if failed else 0


def _time_left(began: float, done: int, n: int) -> str:
    """The time of day, and an estimate of the time left, once this process has finished a training."""
    if done < 1:
        return f"{datetime.datetime.now():%H:%M}"
    rest = (time.monotonic() - began) / done * (n - done)
    return f"{datetime.datetime.now():%H:%M}, about {rest / 60:.0f} minutes to go"


def _judge(plan: Plan, study: Path, data: ImageDataModule, root: str) -> tuple[Judge | None, str]:
    """The judge of the data set, or one that is made for this study from the two classifiers that the plan names."""
    file = study / "judge.pt"
    found = judge_of(plan.dataset, data)
    if found is None and plan.judge and data.classes and not file.is_file():
        classifiers = [System(f"judge_{number}", "classifier", config) for number, config in enumerate(plan.judge, 1)]
        for seed, system in enumerate(classifiers):  # seeds differ
            print(f"judge    training {' + '.join(system.config)}", flush=True)
            if not trained(folder_of(study, system, seed), system, plan):
                train(study, system, seed, plan, root)
        models = [open_checkpoint(_checkpoint(study, system, seed))[0] for seed, system in enumerate(classifiers)]
        recipe = "; ".join(f"lightning fit --config {' --config '.join(system.config)}" for system in classifiers) + f" on {plan.dataset}"
        save_judge(make_judge(models[0], models[1], data), plan.dataset, recipe, file)  # type: ignore[arg-type]
    if found is None and file.is_file():
        found = load_judge(file, plan.dataset, known_images(data))
    if found is None:
        print(
            f"judge    none for {plan.dataset}: measures of samples are n/a; lightning judge --dataset {plan.dataset} makes one", flush=True
        )
        return None, ""
    return found


def _checkpoint(study: Path, system: System, seed: int) -> Path:
    run = run_in(folder_of(study, system, seed))
    if run is None:
        raise ValueError(f"expected a run of {system.name} in {study}\nfound none")
    return run / "checkpoints" / "best.ckpt"
