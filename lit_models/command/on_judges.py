"""What `lightning judge` does."""

from argparse import Namespace
from pathlib import Path

import torch

from lit_models.command.errors import UserError
from lit_models.command.on_runs import data_of, load
from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.judge import controls, load_judge, make_judge, save_judge
from lit_models.evaluation.measure import Yardstick


def make(checkpoints: list[Path], given: Namespace) -> int:
    """A judge of two classifiers, with thresholds set on validation images, into a file."""
    loaded = [load(checkpoint, None) for checkpoint in checkpoints]
    for (model, saved), checkpoint in zip(loaded, checkpoints, strict=True):
        if not isinstance(model, Classifier):
            raise UserError("expected runs of lightning fit --config classifier", f"got {type(model).__name__} in {checkpoint}")
        if saved["run"]["dataset"] != given.dataset:
            raise UserError(f"expected a classifier of {given.dataset}", f"got one of {saved['run']['dataset']}", "see --dataset")
    data = data_of(loaded[0][1], given.root)
    data.setup()
    test, labels = data.images("test")
    with torch.no_grad():
        digits = [torch.cat([model.classify(part) for part in test.split(500)]).argmax(1) for model, _ in loaded]
    right = [float((each == labels).float().mean()) for each in digits]
    recipe = f"two classifiers, {right[0]:.4f} and {right[1]:.4f} right on test, of steps " + ", ".join(
        f"{saved['global_step']} with {dict(saved['hyper_parameters'])}" for _, saved in loaded
    )
    save_judge(make_judge(loaded[0][0], loaded[1][0], data), given.dataset, recipe, given.output)
    print(f"{given.output}: {recipe}")
    return report(given, given.output)


def report(given: Namespace, file: Path | None = None) -> int:
    """Accuracy and controls on the test images."""
    found = load_judge(given.dataset, given.root, file)
    if found is None:
        remedy = "train two classifiers, then lightning judge RUN RUN"
        raise UserError(f"expected a judge of {given.dataset}", "found none in the package", remedy)
    judge, _ = found
    yardstick = Yardstick(given.dataset, judge, root=given.root)
    print(f"judge of {given.dataset}, sha256 {judge.sha256}, on {yardstick.n} test images")
    print(f"{'digit is the label':34} {float((yardstick.seen.digits == yardstick.labels).double().mean()):.4f}")
    print("valid:")
    for name, share in controls(judge, yardstick.test, yardstick.labels).items():
        print(f"{name:34} {share:.4f}")
    return 0
