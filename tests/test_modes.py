"""Modes of stacked MNIST are counted by the shipped classifier, channel by channel."""

import math

import pytest
import torch
from conftest import needs_mnist

from datamodules import ImageDataModule
from lit_models.evaluation.modes import digit_classifier, mode_coverage, modes_of


@needs_mnist
def test_real_images_have_all_modes_and_copies_of_one_have_one() -> None:
    data = ImageDataModule("stacked_mnist")
    images, labels = data.images("train")
    classifier = digit_classifier()
    found = modes_of(images[:4000], classifier)
    assert float((found == labels[:4000]).float().mean()) > 0.97  # three digits right at once
    same = mode_coverage(labels, labels)
    assert (same["modes"], same["modes_kl"]) == (1000, pytest.approx(0, abs=1e-12))
    one = mode_coverage(labels[:1].expand(26_000), labels)
    share = float((labels == labels[0]).double().mean())
    assert (one["modes"], one["modes_kl"]) == (1, pytest.approx(-math.log(share)))
    half = labels[labels % 100 < 50]  # a model that never draws half of the middle digits
    assert mode_coverage(half, labels)["modes"] == 500


def test_the_divergence_agrees_with_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn, real = torch.randint(1000, (26_000,), generator=generator), torch.randint(1000, (60_000,), generator=generator)
    q, p = (torch.bincount(each, minlength=1000).double() / len(each) for each in (drawn, real))
    expected = torch.distributions.kl_divergence(torch.distributions.Categorical(q), torch.distributions.Categorical(p))
    assert mode_coverage(drawn, real)["modes_kl"] == pytest.approx(float(expected), rel=1e-6)
    assert 0.01 < float(expected) < 0.1  # 26,000 draws from the same distribution are this far away: the floor


def test_images_of_another_shape_have_no_modes() -> None:
    with pytest.raises(ValueError, match=r"\(N, 3, 28, 28\)"):
        modes_of(torch.zeros(2, 1, 28, 28), digit_classifier())
