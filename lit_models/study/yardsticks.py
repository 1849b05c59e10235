"""The two yardsticks of a study: for its last measurement by test images, and for all that is measured before."""

from pathlib import Path
from typing import NamedTuple

from datamodules import ImageDataModule
from lit_models.checkpoints.loading import open_checkpoint
from lit_models.evaluation.features import spaces_of
from lit_models.evaluation.judge import Judge, judge_of, known_images, load_judge, make_judge, save_judge
from lit_models.evaluation.yardstick import Yardstick
from lit_models.study.plan import Plan, System
from lit_models.study.training import folder_of, run_in, train, trained


class Yardsticks(NamedTuple):
    """`last` has test images and all samples, `small` fewer validation images; `recipe` says how the judge was made."""

    last: Yardstick
    small: Yardstick
    recipe: str


def yardsticks_of(plan: Plan, study: Path, root: str) -> Yardsticks:
    """The yardsticks of the plan's data set. A judge that the package lacks is trained, if the plan says how, and kept in `study`."""
    data = ImageDataModule(plan.dataset, root=root).whole()
    judge, recipe = _judge(plan, study, data, root)
    spaces = spaces_of(plan.dataset, data.images("train")[0], data=data)
    small = Yardstick(data, judge, spaces, plan.samples_at_images, "val")
    return Yardsticks(Yardstick(data, judge, spaces, plan.samples, "test", plan.features == "inception"), small, recipe)


def judge_file(study: Path) -> Path:
    """Where a study keeps the judge that it has made."""
    return study / "judge.pt"


def _judge(plan: Plan, study: Path, data: ImageDataModule, root: str) -> tuple[Judge | None, str]:
    """The judge of the data set, or one that is made for this study from the two classifiers that the plan names."""
    file = judge_file(study)
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
        print(f"judge    none for {plan.dataset}: measures of samples are n/a; lightning judge --data {plan.dataset} makes one", flush=True)
        return None, ""
    return found


def _checkpoint(study: Path, system: System, seed: int) -> Path:
    run = run_in(folder_of(study, system, seed))
    if run is None:
        raise ValueError(f"expected a run of {system.name} in {study}\nfound none")
    return run / "checkpoints" / "best.ckpt"
