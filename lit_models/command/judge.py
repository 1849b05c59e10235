"""`lightning judge`: make a judge of two classifiers, or test one on its controls."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from lit_models.command.arguments import Parser
from lit_models.command.errors import UserError, explained
from lit_models.command.run_folders import checkpoint_of


def run(command: str, arguments: list[str]) -> int:
    options = Parser(prog="lightning judge", description="Make a judge of two trained classifiers, or test one on its controls.")
    options.add_argument("runs", nargs="*", metavar="RUN", help="two classifiers to make one of; none tests the data set's own")
    options.add_argument("--dataset", default="mnist")
    options.add_argument("--output", type=Path, default=Path("judge.pt"))
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
    given = options.parse_args(arguments)
    if len(given.runs) not in (0, 2):
        raise UserError("lightning judge expected two classifiers, or none to test the data set's own", f"got {len(given.runs)}")
    checkpoints = [checkpoint_of(run) for run in given.runs]
    with explained():
        return _make(checkpoints, given) if checkpoints else _report(given)


def _make(checkpoints: list[Path], given: Namespace) -> int:
    """Write a judge of two classifiers, with thresholds set on validation images."""
    import torch

    from lit_models.command.opened_run import OpenedRun
    from lit_models.evaluation.classifier import Classifier
    from lit_models.evaluation.judge import make_judge, save_judge

    opened = [OpenedRun(checkpoint, []) for checkpoint in checkpoints]
    for each in opened:
        if not isinstance(each.model, Classifier):
            raise UserError("expected runs of lightning fit --config classifier", f"got {type(each.model).__name__} in {each.checkpoint}")
        if each.dataset != given.dataset:
            raise UserError(f"expected a classifier of {given.dataset}", f"got one of {each.dataset}", "see --dataset")
    data = opened[0].data(given.root)
    test, labels = data.images("test")
    with torch.no_grad():
        classes = [torch.cat([each.model.classify(part) for part in test.split(500)]).argmax(1) for each in opened]
    right = [float((each == labels).float().mean()) for each in classes]
    recipe = f"two classifiers, {right[0]:.4f} and {right[1]:.4f} right on test, of steps " + ", ".join(
        f"{each.saved['global_step']} with {dict(each.saved['hyper_parameters'])}" for each in opened
    )
    save_judge(make_judge(opened[0].model, opened[1].model, data), given.dataset, recipe, given.output)
    print(f"{given.output}: {recipe}")
    return _report(given, given.output)


def _report(given: Namespace, file: Path | None = None) -> int:
    """Accuracy and controls on the test images."""
    from datamodules import MNISTDataModule
    from lit_models.evaluation.judge import controls, known_images, load_judge, shipped_judge
    from lit_models.evaluation.measure import Yardstick

    file = file or shipped_judge(given.dataset)
    if file is None:
        remedy = "train two classifiers, then lightning judge RUN RUN"
        raise UserError(f"expected a judge of {given.dataset}", "found none in the package", remedy)
    data = MNISTDataModule(given.dataset, root=given.root).whole()
    judge, _ = load_judge(file, given.dataset, known_images(data))
    yardstick = Yardstick(data, judge)
    print(f"judge of {given.dataset}, sha256 {judge.sha256}, on {yardstick.n} test images")
    print(f"{'class is the label':34} {float((yardstick.real.classes == yardstick.labels).double().mean()):.4f}")
    print("recognisable:")
    for name, share in controls(judge, yardstick.test, yardstick.labels).items():
        print(f"{name:34} {share:.4f}")
    return 0
