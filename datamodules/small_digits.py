"""The digits inside scikit-learn, which need no network."""

import torch
from torch.nn.functional import interpolate, pad

from datamodules.split import Split


def small_digits() -> dict[str, Split]:
    """The 1,797 digits inside scikit-learn, 8 x 8 in 17 shades, enlarged to 20 x 20 within 28 x 28 as MNIST's are.

    They have no official test set: every fifth image is a test image.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float()[:, None] / 16
    large = interpolate(small, size=(20, 20), mode="bicubic", antialias=True).clamp(0, 1)
    images = pad((255 * large).round().to(torch.uint8), (4, 4, 4, 4))
    labels = torch.from_numpy(bunch.target).to(torch.uint8)
    test = torch.arange(len(images)) % 5 == 4
    return {"train": Split(images[~test], labels[~test]), "test": Split(images[test], labels[test])}
