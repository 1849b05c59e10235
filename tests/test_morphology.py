"""Thickness, slant and width, against shapes whose values are known, and against Morpho-MNIST's thickness."""

import numpy as np
import pytest
import torch
from conftest import mnist_root, needs_mnist
from scipy.ndimage import distance_transform_edt, maximum_filter, zoom
from scipy.stats import spearmanr

from datamodules import ImageDataModule
from lit_models.evaluation.morphology import morphology


def bar(width: float = 4.0, lean: float = 0.0, length: int = 20, centre: float = 14.0) -> torch.Tensor:
    """A stroke of a width along a row, whose top lies `lean` pixels to the right per pixel upwards; edges have grey values."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    middle = centre - lean * (y - 13.5)
    image = (width / 2 + 0.5 - (x + 0.5 - middle).abs()).clamp(0, 1)
    return torch.where((y - 13.5).abs() < length / 2, image, 0.0)[None]


@pytest.mark.parametrize("lean", [-0.5, 0.0, 0.3])
def test_the_slant_of_a_stroke_is_that_it_was_drawn_with(lean: float) -> None:
    thick, slant, width = morphology(bar(lean=lean)[None])[0].tolist()
    assert slant == pytest.approx(lean, abs=0.02)
    assert width == pytest.approx(4.0, abs=1.1)  # a grid of pixels, 96 % of the mass
    outline = 2 * 20 * (1 + lean**2) ** 0.5 + 2 * 4
    assert thick == pytest.approx(2 * 20 * 4 / outline, rel=0.1)


@pytest.mark.parametrize("width", [2.0, 4.0, 6.0])
def test_thickness_is_the_width_of_a_long_stroke(width: float) -> None:
    found = float(morphology(bar(width, length=26)[None])[0, 0])
    assert found == pytest.approx(width / (1 + width / 26), rel=0.1), "twice the area over the outline"


def test_places_do_not_count_and_two_strokes_are_wider_than_one() -> None:
    one, moved, two = (morphology(image[None])[0] for image in (bar(), bar(centre=10), (bar(centre=8) + bar(centre=20)).clamp(0, 1)))
    torch.testing.assert_close(one, moved, atol=1e-3, rtol=1e-3)
    assert float(two[2]) == pytest.approx(float(one[2]) + 12, abs=0.5)
    assert float(two[0]) == pytest.approx(float(one[0]), rel=0.01)


def test_a_mirrored_image_leans_the_other_way() -> None:
    images = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0)) ** 4
    found, mirrored = morphology(images), morphology(images.flip(3))
    torch.testing.assert_close(mirrored[:, 1], -found[:, 1], atol=1e-4, rtol=0)
    torch.testing.assert_close(mirrored[:, 2], found[:, 2], atol=0.6, rtol=0)


def test_an_empty_image_has_zeros_and_colours_are_averaged() -> None:
    assert torch.equal(morphology(torch.zeros(2, 3, 32, 32)), torch.zeros(2, 3))
    grey = bar()[None]
    torch.testing.assert_close(morphology(grey.expand(1, 3, 28, 28)), morphology(grey))


@needs_mnist
def test_thickness_orders_digits_nearly_as_that_of_morpho_mnist() -> None:
    """There it is twice the mean distance to the outline along the skeleton of the image, four times as large; here the ridge of the
    distance stands for the skeleton."""
    data = ImageDataModule("mnist", root=str(mnist_root()), limit=300)
    data.setup()
    images = data.images("val")[0]
    theirs = []
    for image in images[:, 0].numpy():
        distance = distance_transform_edt(zoom(image, 4, order=1) > 0.5)
        ridge = (distance == maximum_filter(distance, 3)) & (distance > 1)
        theirs.append(2 * distance[ridge].mean() / 4)
    ours = morphology(images)
    assert spearmanr(ours[:, 0].numpy(), np.array(theirs)).statistic > 0.9
    assert spearmanr(ours[:, 2].numpy(), np.array(theirs)).statistic < 0.6, "the width is something else"
