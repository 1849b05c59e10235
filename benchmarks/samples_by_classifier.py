"""Whether a model's samples are digits, the digits asked for, vary as real ones do, and are no copies.

    python -m benchmarks.samples_by_classifier RUN [RUN ...] --classifier RUN_OF_CLASSIFIER [--root FOLDER] [--num 1000] [--density NAME]

For a model that takes labels: the share of samples that the classifier takes for the digit asked for. For all: the share of samples that
are digits by the classifier's features (95 % of real images are), how often each of the ten is drawn, pixel variance within the
classifier's (or the asked) classes relative to real test images'; and, with those of real test images beside them, the neighbourhoods
(`lit_models.metrics.Neighbourhoods`) in the classifier's features, among as many training images, and the distance to the nearest
training image.
"""

import argparse
import time

import torch

from benchmarks.by_classifier import RealDigits, classify, features, nearest_distances, within_class_variance
from datamodules import MNISTDataModule
from lit_models.classifier import Classifier
from lit_models.command.on_runs import load
from lit_models.command.runs import resolve
from lit_models.contracts import CanSample, HasCodebook, HasPriors, HasTrainingCodes
from lit_models.metrics import Neighbourhoods


@torch.no_grad()
def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", nargs="+", metavar="RUN")
    options.add_argument("--classifier", required=True)
    options.add_argument("--root")
    options.add_argument("--num", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--density", "--prior", dest="prior")
    given = options.parse_args()
    classifier, saved = load(resolve(given.classifier), None)
    assert isinstance(classifier, Classifier)
    data = MNISTDataModule(saved["run"]["dataset"], root=given.root)
    data.setup()
    train, (test, test_labels) = data.images("train"), data.images("test")
    real = RealDigits(classifier, train[0], test)
    known = features(classifier, train[0][-given.num :])
    print(f"classifier on {len(test)} test images: {(classify(classifier, test) == test_labels).float().mean():.4f}")
    noise = torch.rand(1000, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    blends = 0.5 * (test[:1000] + test[1000:2000])
    print(
        f"digits: {real.share(test):.3f} of real test images, {real.share(noise):.3f} of noise, {real.share(blends):.3f} of blends of two"
    )
    for run in given.runs:
        model, _ = load(resolve(run), None)
        if not isinstance(model, CanSample):
            raise SystemExit(f"{run} holds no model that can be sampled")
        how = {"prior": given.prior} if given.prior else {}
        classes = model.priors[given.prior] if how and isinstance(model, HasPriors) else model.classes
        print(f"\n{run} {given.prior or ''}")
        if isinstance(model, HasTrainingCodes) and not isinstance(model, HasCodebook):
            codes, _ = model.training_codes.get()
            spread, mean = codes.std(dim=0), codes.mean(dim=0)
            print(f"codes: standard deviations {spread.min():.2f} to {spread.max():.2f}, means {mean.min():.2f} to {mean.max():.2f}")
        asked = None if classes is None else torch.arange(given.num) % classes
        start = time.perf_counter()
        model.sample(64, generator=torch.Generator().manual_seed(given.seed), **how)
        print(f"64 samples in {time.perf_counter() - start:.2f} s on {torch.get_num_threads()} threads")
        samples = model.sample(given.num, asked, torch.Generator().manual_seed(given.seed), **how)
        seen = classify(classifier, samples)
        if asked is not None:
            print(f"samples taken for the digit asked for: {(seen == asked).float().mean():.4f} of {given.num}")
            worst = min((float((seen[asked == digit] == digit).float().mean()), digit) for digit in range(10))
            print(f"worst digit: {worst[1]} with {worst[0]:.4f}")
        shares = ", ".join(f"{share:.3f}" for share in torch.bincount(seen, minlength=10) / given.num)
        print(f"samples that are digits: {real.share(samples):.3f}; shares of 0 to 9: {shares}")
        ratio = within_class_variance(samples, seen if asked is None else asked) / within_class_variance(test, test_labels)
        print(f"within-class pixel variance relative to real test images: {ratio:.3f}")
        for name, images in (("samples", samples), ("real test images", test[: given.num])):
            quantiles = nearest_distances(images, train[0]).quantile(torch.tensor([0.01, 0.5]))
            metric = Neighbourhoods()
            metric.update(known, real=True)
            metric.update(features(classifier, images), real=False)
            print(f"{name}: " + ", ".join(f"{measure} {float(value):.3f}" for measure, value in metric.compute().items()))
            print(f"distance to the nearest training image, {name}: median {quantiles[1]:.2f}, 1 % quantile {quantiles[0]:.2f}")


if __name__ == "__main__":
    main()
