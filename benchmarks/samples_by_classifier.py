"""Whether a model's samples are the digits asked for, vary as real ones do, and are no copies.

    python benchmarks/samples_by_classifier.py RUN --classifier RUN_OF_CLASSIFIER [--root FOLDER] [--num 1000]

For a model that takes labels: the share of samples that the classifier takes for the digit asked for. For all: pixel variance within
the classifier's (or the asked) classes relative to real test images', and the distance to the nearest training image, with the same
of real test images beside it.
"""

import argparse
import time

import torch
from torch import Tensor

from datamodules import MNISTDataModule
from lit_models.command.on_runs import load
from lit_models.command.runs import resolve
from lit_models.contracts import CanSample


@torch.no_grad()
def classify(classifier: torch.nn.Module, images: Tensor) -> Tensor:
    return torch.cat([classifier.classify(part).argmax(dim=1) for part in images.split(500)])


def within_class_variance(images: Tensor, labels: Tensor) -> float:
    """Variance of each pixel within a class, averaged over pixels and classes."""
    return float(torch.stack([images[labels == digit].var(dim=0).mean() for digit in labels.unique()]).mean())


def nearest_distances(images: Tensor, others: Tensor) -> Tensor:
    """Euclidean distance to the nearest of `others`, over 784 pixels in [0, 1]."""
    return torch.cat([torch.cdist(part.flatten(1), others.flatten(1)).min(dim=1).values for part in images.split(250)])


@torch.no_grad()
def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run")
    options.add_argument("--classifier", required=True)
    options.add_argument("--root")
    options.add_argument("--num", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    model, saved = load(resolve(given.run), None)
    classifier, _ = load(resolve(given.classifier), None)
    if not isinstance(model, CanSample):
        raise SystemExit(f"{given.run} holds no model that can be sampled")
    data = MNISTDataModule(saved["run"]["dataset"], root=given.root)
    data.setup()
    train, (test, test_labels) = data.images("train")[0], data.images("test")
    print(f"classifier on {len(test)} test images: {(classify(classifier, test) == test_labels).float().mean():.4f}")
    asked = None if model.classes is None else torch.arange(given.num) % model.classes
    start = time.perf_counter()
    model.sample(64, generator=torch.Generator().manual_seed(given.seed))
    print(f"64 samples in {time.perf_counter() - start:.2f} s on {torch.get_num_threads()} threads")
    samples = model.sample(given.num, asked, torch.Generator().manual_seed(given.seed))
    seen = classify(classifier, samples)
    if asked is not None:
        print(f"samples taken for the digit asked for: {(seen == asked).float().mean():.4f} of {given.num}")
        worst = min((float((seen[asked == digit] == digit).float().mean()), digit) for digit in range(model.classes))
        print(f"worst digit: {worst[1]} with {worst[0]:.4f}")
    ratio = within_class_variance(samples, seen if asked is None else asked) / within_class_variance(test, test_labels)
    print(f"within-class pixel variance relative to real test images: {ratio:.3f}")
    for name, images in (("samples", samples), ("real test images", test[: given.num])):
        quantiles = nearest_distances(images, train).quantile(torch.tensor([0.01, 0.5]))
        print(f"distance to the nearest training image, {name}: median {quantiles[1]:.2f}, 1 % quantile {quantiles[0]:.2f}")


if __name__ == "__main__":
    main()
