"""Copies of training images are told from new images, whatever the numbers of training and held-out images are."""

import pytest
import torch

from lit_models.evaluation.memorisation import nearer_to_training, nearest


def test_the_nearest_distance_is_that_of_all_pairs() -> None:
    torch.manual_seed(0)
    images, others = torch.rand(7, 1, 28, 28), torch.rand(23, 1, 28, 28)
    expected = torch.stack([(image - others).flatten(1).norm(dim=1).min() for image in images])
    torch.testing.assert_close(nearest(images, others), expected)


def test_new_images_are_as_near_to_training_as_to_held_out_images_and_copies_are_not() -> None:
    """Whatever the numbers of training and held-out images are."""
    torch.manual_seed(0)
    training, unseen, new = torch.rand(2000, 1, 2, 2), torch.rand(300, 1, 2, 2), torch.rand(4000, 1, 2, 2)
    share = nearer_to_training(nearest(new, training), nearest(new, unseen), 2000, 300)
    assert share == pytest.approx(0.5, abs=0.03)
    copies = training[torch.arange(500)]
    assert nearer_to_training(nearest(copies, training), nearest(copies, unseen), 2000, 300) > 0.99
    half = torch.cat([copies, new[:500]])
    assert 0.55 < nearer_to_training(nearest(half, training), nearest(half, unseen), 2000, 300) < 0.95
