"""A classifier learns from samples as far as they show what they were asked for, and vary as real images do."""

import torch
from torch import Generator

from datamodules import ImageDataModule
from lit_models.evaluation import classification_score


def test_the_classification_score_is_high_for_real_images_and_chance_for_wrong_labels() -> None:
    images, labels = ImageDataModule("digits").whole().images("train")
    state = torch.get_rng_state()
    train, held = slice(0, 1000), slice(1000, None)
    real = classification_score(images[train], labels[train], images[held], labels[held])
    assert real > 0.93
    assert real == classification_score(images[train], labels[train], images[held], labels[held])
    shuffled = labels[train][torch.randperm(1000, generator=Generator().manual_seed(0))]
    assert classification_score(images[train], shuffled, images[held], labels[held]) < 0.3
    means = torch.stack([images[labels == label].mean(dim=0) for label in range(10)])[labels[train]]
    assert classification_score(means, labels[train], images[held], labels[held]) < real - 0.05, "one image per class does not vary"
    assert torch.equal(state, torch.get_rng_state())
