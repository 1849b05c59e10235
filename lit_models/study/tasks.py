"""The tasks of a study: each trains and measures one system with one seed. An engine carries them out, here or on other machines."""

import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lit_models.evaluation.yardstick import Yardstick
from lit_models.study.measuring import is_measured, measure_system
from lit_models.study.plan import Plan, System
from lit_models.study.training import Failed, folder_of, train, trained
from lit_models.study.yardsticks import Yardsticks


class Task(NamedTuple):
    system: System
    seed: int

    def __str__(self) -> str:
        return f"{self.system.name}, seed {self.seed}"


class Done(NamedTuple):
    """A task that has ended. `said` is one line: the time that it took, or the error."""

    task: Task
    said: str
    failed: bool = False


def is_done(study: Path, task: Task, plan: Plan, yardstick: Yardstick) -> bool:
    """Whether the task was carried out before, with these settings and this yardstick."""
    return is_measured(study, *task, plan, yardstick)


def here(tasks: list[Task], study: Path, plan: Plan, yardsticks: Yardsticks, root: str) -> Iterator[Done]:
    """Carry out tasks in this process, one after the other."""
    for task in tasks:
        yield carry_out(task, study, plan, yardsticks, root)


def carry_out(task: Task, study: Path, plan: Plan, yardsticks: Yardsticks, root: str) -> Done:
    """Train what is not trained, and measure it. An error is kept in `error.txt`; it ends this task alone."""
    folder = folder_of(study, *task)
    error = folder / "error.txt"
    error.unlink(missing_ok=True)
    try:
        start = time.monotonic()
        if not trained(folder, task.system, plan):
            train(study, *task, plan, root)
        between = time.monotonic()
        measure_system(study, *task, plan, yardsticks.last, yardsticks.small, root)
    except Exception as problem:  # a system that fails gets a row with its error, and the study continues
        message = str(problem) if isinstance(problem, Failed) else f"{type(problem).__name__}: {problem}"
        return keep_error(task, study, message, traceback.format_exc())
    return Done(task, f"trained in {between - start:.0f} s, measured in {time.monotonic() - between:.0f} s")


def keep_error(task: Task, study: Path, message: str, details: str = "") -> Done:
    """The end of a task that has failed; the row of its system shows the message."""
    folder = folder_of(study, *task)
    folder.mkdir(parents=True, exist_ok=True)
    said = " | ".join(message.splitlines())
    (folder / "error.txt").write_text(said)
    (folder / "traceback.txt").write_text(details)
    return Done(task, f"failed: {said}", failed=True)
