"""What noise does to a label-anchored decoder, and what lies between its anchors.

    python -m benchmarks.along_the_line RUN [RUN ...] --classifier RUN_OF_CLASSIFIER [--root FOLDER] [--num 2000]

With the noise of training: the share of decodes that the classifier takes for their anchor's digit. With noise of sqrt(D) / 2, which
is half the distance between anchors: how many change, and how many of those to a neighbour. Between neighbouring anchors, in steps of
0.05 of the way: how wide the stretches are where decodes are no digits by the classifier's features.
"""

import argparse

import torch

from benchmarks.by_classifier import RealDigits, classify, within_class_variance
from datamodules import MNISTDataModule
from lit_models.anchored import AnchoredDecoder
from lit_models.classifier import Classifier
from lit_models.command.on_runs import load
from lit_models.command.runs import resolve


@torch.no_grad()
def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", nargs="+", metavar="RUN")
    options.add_argument("--classifier", required=True)
    options.add_argument("--root")
    options.add_argument("--num", type=int, default=2000)
    given = options.parse_args()
    classifier, saved = load(resolve(given.classifier), None)
    assert isinstance(classifier, Classifier)
    data = MNISTDataModule(saved["run"]["dataset"], root=given.root)
    data.setup()
    test, test_labels = data.images("test")
    real = RealDigits(classifier, data.images("train")[0], test)
    for run in given.runs:
        model, _ = load(resolve(run), None)
        assert isinstance(model, AnchoredDecoder)
        anchors, labels = model.anchors(), torch.arange(given.num) % 10
        generator = torch.Generator().manual_seed(0)
        samples = model.sample(given.num, labels, generator)
        right = float((classify(classifier, samples) == labels).float().mean())
        half = anchors.shape[1] ** 0.5 / 2
        far = model.decode(anchors[labels] + half * torch.randn(given.num, anchors.shape[1], generator=generator))
        seen = classify(classifier, far)
        changed = seen != labels
        near = (seen - labels)[changed].abs() == 1
        ratio = within_class_variance(samples, labels) / within_class_variance(test, test_labels)
        print(f"\n{run}: {model.hparams.layout}, {model.hparams.noise_assignment} noise")
        print(f"sigma {model.noise:g}: taken for the anchor's digit {right:.4f} of {given.num}; digits {real.share(samples):.3f}")
        print(f"sigma {half:g}: {changed.float().mean():.3f} change, of these {near.float().mean():.3f} to a neighbour")
        print(f"within-class pixel variance relative to real test images: {ratio:.3f}")
        ways = torch.linspace(0, 9, 181)
        on = real.holds(model.decode(torch.stack([torch.lerp(anchors[int(t)], anchors[min(int(t) + 1, 9)], float(t % 1)) for t in ways])))
        widths = [f"{d}-{d + 1}: {0.05 * float((~on[20 * d + 1 : 20 * d + 20]).sum()):.2f}" for d in range(9)]
        print(f"no digits along {float((~on).float().mean()):.3f} of the way from 0 to 9; between neighbours {', '.join(widths)}")


if __name__ == "__main__":
    main()
