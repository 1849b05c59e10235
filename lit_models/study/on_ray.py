"""The tasks of a study on a Ray cluster, or on the cores of this machine: each gets a share of the cores, and a lost one is done again.

A worker has a folder of its own, which need not be shared: what the study has of a task travels to it, and its files travel back.

Reference: Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, 2018. https://arxiv.org/abs/1712.05889
"""

import os
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from lit_models.study.extras import extra_package
from lit_models.study.plan import Plan
from lit_models.study.tasks import Done, Task, carry_out, keep_error
from lit_models.study.yardsticks import Yardsticks, judge_file, yardsticks_of

RETRIES = 3  # after the loss of a worker
NOT_KEPT = "snapshots"  # folders of checkpoints that are measured and then removed

Files = dict[str, bytes]  # by their path in the folder of the study


def on_ray(tasks: list[Task], study: Path, plan: Plan, yardsticks: Yardsticks, root: str, address: str | None = None) -> Iterator[Done]:
    """Carry out tasks on all machines of a cluster at once, in the order in which they end.

    Args:
        root: Folder of the data, on every machine.
        address: Of the head of a cluster; None starts Ray on this machine alone.
    Raises:
        ValueError: If Ray is not installed, or if the cluster can never give a task what it needs.
    """
    ray = extra_package("ray", "cluster", wanted_by="--on ray")
    own = address is None and not os.environ.get("RAY_ADDRESS")
    ray.init("local" if own else address, log_to_driver=False, logging_level="ERROR", **({"include_dashboard": False} if own else {}))
    try:
        check_resources(ray.cluster_resources(), plan)
        needs = {"num_cpus": plan.cpus_per_task, "num_gpus": plan.gpus_per_task, "max_retries": RETRIES}
        remote = ray.remote(_on_worker).options(**needs)
        judge = judge_file(study).read_bytes() if judge_file(study).is_file() else None
        shared = ray.put(pickle.dumps((plan, judge, root)))
        waiting = {remote.remote(task, shared, _given(task, study, plan)): task for task in tasks}
        while waiting:
            (reference, *_), _ = ray.wait(list(waiting), num_returns=1)
            task = waiting.pop(reference)
            try:
                done, files = ray.get(reference)
            except ray.exceptions.RayError as problem:  # the worker was lost, time and again
                yield keep_error(task, study, f"{type(problem).__name__}: {str(problem).strip().splitlines()[0]}", str(problem))
                continue
            (task.folder(study) / "error.txt").unlink(missing_ok=True)  # of an earlier attempt
            _write(files, study)
            if not done.failed and not task.is_done(study, plan, yardsticks):
                done = keep_error(task, study, "expected measures by the yardstick of this study, got those of another one on the worker")
            yield done
    finally:
        ray.shutdown()


def check_resources(have: dict[str, float], plan: Plan) -> None:
    """Refuse what Ray does not have: it would wait for ever for a machine that has it."""
    for name, needed in (("CPU", plan.cpus_per_task), ("GPU", plan.gpus_per_task)):
        if needed > have.get(name, 0):
            key = f"{name.lower()}s_per_task"
            raise ValueError(f"{key} expected at most the {have.get(name, 0):g} that Ray has\ngot {needed:g}\nadd machines or lower {key}")


def _on_worker(task: Task, shared: bytes, given: Files) -> tuple[Done, Files]:
    """Carry out a task in a folder of its own; returns all files that the study keeps of it."""
    plan, root, yardsticks = _opened(shared)
    torch.set_num_threads(plan.cpus_per_task)
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # of the training, which is a process of its own
    with TemporaryDirectory(prefix="study_") as folder:
        study = Path(folder)
        _write(given, study)
        done = carry_out(task, study, plan, yardsticks, root)
        return done, _files(study, study)


@cache
def _opened(shared: bytes) -> tuple[Plan, str, Yardsticks]:
    """Plan, root and yardsticks, the same for all tasks of a worker process: features of real images are computed once."""
    plan, judge, root = pickle.loads(shared)  # from the process that has started this one
    with TemporaryDirectory() as folder:
        if judge is not None:
            judge_file(Path(folder)).write_bytes(judge)
        return plan, root, yardsticks_of(plan, Path(folder), root)


def _write(files: Files, study: Path) -> None:
    for name, content in files.items():
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).write_bytes(content)


def _given(task: Task, study: Path, plan: Plan) -> Files:
    """What the study has of a task."""
    further = {str(file.relative_to(study)): file.read_bytes() for file in task.given(study, plan) if file.is_file()}
    return _files(study, task.folder(study)) | further


def _files(study: Path, folder: Path) -> Files:
    """All files in a folder of the study but those that are not kept."""
    found = (file for file in folder.rglob("*") if file.is_file() and NOT_KEPT not in file.relative_to(study).parts)
    return {str(file.relative_to(study)): file.read_bytes() for file in found}
