"""What a training step of a system costs: floating-point operations and seconds, by short trainings with the whole schedule.

The seconds of a training are a + b N of its N steps: a has what is done once, such as the placing of a codebook. Both are found from two
trainings of different length. All is kept in the folder `speed`. So a training of a number of seconds has the same number of steps for each
seed and on each machine, and its weights can be made again.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.study.machine import machine
from lit_models.study.measuring import write_json
from lit_models.study.plan import Plan, System
from lit_models.study.settings import contents_of, trained_as
from lit_models.study.training import Failed, exact_steps, fit, run_in

COUNTED = 41  # steps whose operations are counted; the last one also has those of saving, and is left out
TIMED = 16.0  # seconds of the longer one of the two trainings that are timed, about; less for a shorter length


@dataclass(frozen=True)
class Speed:
    """Of one system.

    Args:
        flops_per_image: Floating-point operations of training per image, in equal parts of the schedule.
        seconds_once, seconds_per_step: None if no training of the study has a length in seconds.
        machine: That has timed the steps.
    """

    flops_per_image: list[float]
    seconds_once: float | None
    seconds_per_step: float | None
    machine: str

    def flops(self, images: int, of: int) -> float:
        """Floating-point operations up to a number of images, in a training of `of` images."""
        ends = [of * part / len(self.flops_per_image) for part in range(len(self.flops_per_image) + 1)]
        parts = zip(self.flops_per_image, pairwise(ends), strict=True)
        return sum(each * max(0.0, min(images, high) - low) for each, (low, high) in parts)

    def steps(self, seconds: float) -> int:
        """Number of steps that a training of this length has."""
        assert self.seconds_once is not None
        assert self.seconds_per_step is not None
        return max(1, round((seconds - self.seconds_once) / self.seconds_per_step))


def file_of(study: Path, system: System, plan: Plan) -> Path:
    """Where the speed is kept: systems with the same settings share one file."""
    names = "+".join(Path(name).stem for name in system.config)
    digest = hashlib.sha256(json.dumps([*trained_as(system, plan), contents_of(system)]).encode()).hexdigest()
    return study / "speed" / f"{names}_{digest[:8]}.json"


def known_speed(study: Path, system: System, plan: Plan) -> Speed | None:
    """The speed of a system, if it was measured before."""
    file = file_of(study, system, plan)
    return Speed(**json.loads(file.read_text())) if file.is_file() else None


def with_steps(plan: Plan, measured: Collection[str], study: Path, root: str) -> Plan:
    """The plan in which each system whose length is in seconds has its number of training steps, if its speed is known.

    The speed of the systems that are named in `measured` is measured, if it is not known. One that cannot be trained is left as it is: its
    task says why.
    """
    found, searched = dict(plan.systems), plan.tuned()
    for system in sorted(found.values(), key=lambda each: each.seconds is None):  # those that have to be timed come first
        known = known_speed(study, system, plan)
        timed = system.seconds is not None or system in searched
        lacks = known is None or (known.seconds_per_step is None and timed)
        if lacks and system.name in measured:
            print(f"speed    of {system.title}", flush=True)
            try:
                known = _measure(system, plan, root, timed)
            except Failed:
                continue
            write_json(file_of(study, system, plan), asdict(known))
        if system.seconds is not None and known is not None and known.seconds_per_step is not None:
            found[system.name] = replace(system, training_steps=known.steps(system.seconds))
    return replace(plan, systems=found)


def _measure(system: System, plan: Plan, root: str, timed: bool) -> Speed:
    """Train for a few steps whose operations are counted, and if it is `timed` for some seconds."""
    with TemporaryDirectory(prefix="speed_") as folder:
        overlay = exact_steps(COUNTED, further=[{"class_path": "callbacks.CountFlops"}])
        counted = _short_training(Path(folder) / "counted", overlay, system, plan, root)
        once = per_step = None
        if timed:
            images, known = counted["trained"]["images"] // COUNTED, counted["trained"]["seconds"] / COUNTED  # too slow: they were counted
            ends: list[tuple[int, float]] = []
            longer = min(TIMED, plan.tuning.seconds if system.seconds is None else system.seconds)
            for seconds in (longer / 4, longer):
                steps = max(COUNTED, round(seconds / known))
                saved = _short_training(Path(folder) / f"timed_{seconds:g}", exact_steps(steps, [(steps - 1) * images]), system, plan, root)
                ends.append((saved["global_step"], saved["trained"]["seconds"]))
                known = ends[-1][1] / ends[-1][0]
            (few, short), (many, long) = ends
            per_step = (long - short) / (many - few) if many > few and long > short else long / many
            once = max(0.0, long - per_step * many)
    return Speed(counted["flops"][:-1], once, per_step, machine())


def _short_training(folder: Path, overlay: dict[str, Any], system: System, plan: Plan, root: str) -> dict[str, Any]:
    """The checkpoint of a training: its snapshot, else the last one."""
    folder.mkdir()
    file = folder / "overlay.yaml"
    file.write_text(yaml.safe_dump(overlay))
    fit(folder, [*system.config, str(file)], plan.dataset, root, system.options)
    run = run_in(folder)
    assert run is not None
    kept = next(iter((run / "snapshots").glob("*.ckpt")), run / "checkpoints" / "last.ckpt")
    return read_checkpoint(kept)
