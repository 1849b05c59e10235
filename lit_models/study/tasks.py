"""The tasks of a study: to train and measure a system, or to search its settings. An engine carries them out, here or elsewhere."""

import json
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lit_models.evaluation.yardstick import Yardstick
from lit_models.study.measuring import is_measured, measure_system, write_json
from lit_models.study.plan import Plan, System
from lit_models.study.settings import agree, contents_of, trained_as
from lit_models.study.speed import file_of, known_speed
from lit_models.study.training import Failed, folder_of, train, trained
from lit_models.study.tuning import search_of, tune
from lit_models.study.yardsticks import Yardsticks
from lit_models.training import configs


class Task(Protocol):
    """A part of a study that needs no other one."""

    def folder(self, study: Path) -> Path:
        """Where its files are, but for its results."""

    def is_done(self, study: Path, plan: Plan, yardsticks: Yardsticks) -> bool:
        """Whether it was carried out before, with these settings and these yardsticks."""

    def given(self, study: Path, plan: Plan) -> list[Path]:
        """Further files that it needs."""

    def run(self, study: Path, plan: Plan, yardsticks: Yardsticks, root: str) -> str:
        """Carry it out; returns what it has taken, in words."""


class Training(NamedTuple):
    """Train a system with a seed, and measure it."""

    system: System
    seed: int

    def __str__(self) -> str:
        return f"{self.system.name}, seed {self.seed}"

    def folder(self, study: Path) -> Path:
        return folder_of(study, self.system, self.seed)

    def is_done(self, study: Path, plan: Plan, yardsticks: Yardsticks) -> bool:
        return is_measured(study, self.system, self.seed, plan, yardsticks.last)

    def given(self, study: Path, plan: Plan) -> list[Path]:
        return []

    def run(self, study: Path, plan: Plan, yardsticks: Yardsticks, root: str) -> str:
        start = time.monotonic()
        if not trained(self.folder(study), self.system, plan):
            train(study, self.system, self.seed, plan, root)
        between = time.monotonic()
        measure_system(study, self.system, self.seed, plan, yardsticks.last, yardsticks.small, root)
        return f"trained in {between - start:.0f} s, measured in {time.monotonic() - between:.0f} s"


class Search(NamedTuple):
    """Search the settings of a system on validation images, by trials that see as many images as the default does in the plan's seconds."""

    system: System

    def __str__(self) -> str:
        return f"{self.system.name}, search of settings"

    def folder(self, study: Path) -> Path:
        return study / "tuning" / self.system.name

    def is_done(self, study: Path, plan: Plan, yardsticks: Yardsticks) -> bool:
        return self.found(study, plan, yardsticks.small) is not None

    def given(self, study: Path, plan: Plan) -> list[Path]:
        return [file_of(study, self.system, plan)]

    def run(self, study: Path, plan: Plan, yardsticks: Yardsticks, root: str) -> str:
        start, speed = time.monotonic(), known_speed(study, self.system, plan)
        if speed is None or speed.seconds_per_step is None:
            raise Failed(f"expected the speed of {self.system.name}, got none: its training of some steps has failed")
        search = search_of(self.system.config, self.system.options, plan.dataset, images=1)
        self.folder(study).mkdir(parents=True, exist_ok=True)
        search = replace(search, images=search.batch_size * speed.steps(plan.tuning.seconds), sampler=self.system.sampler)
        best = tune(search, plan.tuning.trials, self.folder(study), yardsticks.small, root)
        write_json(self.folder(study) / "best.json", {"made_with": self._made_with(plan, yardsticks.small), "values": best})
        return f"{plan.tuning.trials} trials in {time.monotonic() - start:.0f} s"

    def found(self, study: Path, plan: Plan, yardstick: Yardstick) -> dict[str, Any] | None:
        """The best values, if the search has ended."""
        file = self.folder(study) / "best.json"
        saved = json.loads(file.read_text()) if file.is_file() else {}
        values: dict[str, Any] | None = saved.get("values") if agree(saved.get("made_with"), self._made_with(plan, yardstick)) else None
        return values

    def _made_with(self, plan: Plan, yardstick: Yardstick) -> list[Any]:
        """The last entry stands for what its configs say, without the defaults of the search: they may become what was found."""
        made_with = [*trained_as(self.system, plan), self.system.sampler, plan.tuning.trials, plan.tuning.seconds, yardstick.sha256]
        return [*made_with, contents_of(self.system, without=configs.read(configs.find(self.system.config[0])).get("tune") or ())]


class Done(NamedTuple):
    """A task that has ended. `said` is one line: the time that it took, or the error."""

    task: Task
    said: str
    failed: bool = False


def here(tasks: list[Task], study: Path, plan: Plan, yardsticks: Yardsticks, root: str) -> Iterator[Done]:
    """Carry out tasks in this process, one after the other."""
    for task in tasks:
        yield carry_out(task, study, plan, yardsticks, root)


def carry_out(task: Task, study: Path, plan: Plan, yardsticks: Yardsticks, root: str) -> Done:
    """Carry out a task. An error is kept in `error.txt`; it ends this task alone."""
    (task.folder(study) / "error.txt").unlink(missing_ok=True)
    try:
        return Done(task, task.run(study, plan, yardsticks, root))
    except Exception as problem:  # a system that fails gets a row with its error, and the study continues
        message = str(problem) if isinstance(problem, Failed) else f"{type(problem).__name__}: {problem}"
        return keep_error(task, study, message, traceback.format_exc())


def keep_error(task: Task, study: Path, message: str, details: str = "") -> Done:
    """The end of a task that has failed; the row of its system shows the message."""
    folder = task.folder(study)
    folder.mkdir(parents=True, exist_ok=True)
    said = " | ".join(message.splitlines())
    (folder / "error.txt").write_text(said)
    (folder / "traceback.txt").write_text(details)
    return Done(task, f"failed: {said}", failed=True)
