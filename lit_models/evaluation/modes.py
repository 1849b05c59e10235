r"""Modes of stacked MNIST: how many of the 1,000 triples of digits a model draws, and how evenly.

Each channel of a sample is classified by the shipped classifier of digits, so a sample counts for one of 1,000 modes. With q the shares of
the modes among samples and p their shares among training images, the reverse KL divergence is

.. math:: \sum_k q_k \log(q_k / p_k)

in nats. The public protocol draws 26,000 samples without labels.

Reference: Metz et al., Unrolled Generative Adversarial Networks, 2017, section 3.3.1, https://arxiv.org/abs/1611.02163; Lin et al., PacGAN,
2018, section 4.1, https://arxiv.org/abs/1712.04086.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.judge import SHIPPED, classifiers_of
from lit_models.sampling.samplers import draw

SAMPLES = 26_000
PART = 1000  # samples at a time
DATASET = "stacked_mnist"


def measure_modes(model: LightningModule, sampler: str, training_labels: Tensor, **options: Any) -> dict[str, float]:
    """`mode_coverage` of 26,000 samples that are drawn without labels."""
    classifier = digit_classifier()
    parts = [draw(model, PART, sampler, labelled=False, seed=seed, **options)[0] for seed in range(SAMPLES // PART)]
    return mode_coverage(torch.cat([modes_of(part, classifier) for part in parts]), training_labels)


def digit_classifier() -> Classifier:
    """The first classifier of the judge of MNIST that the package has."""
    return classifiers_of(read_checkpoint(SHIPPED / "mnist.pt"))[0]


@torch.no_grad()
def modes_of(images: Tensor, classifier: Classifier) -> Tensor:
    """The mode of each image (N, 3, 28, 28), 100 a + 10 b + c for the digits a, b, c of its channels, (N,).

    Raises:
        ValueError: If the images have another shape.
    """
    if images.shape[1:] != (3, 28, 28):
        raise ValueError(f"modes expected images (N, 3, 28, 28) of stacked MNIST, got {tuple(images.shape)}")
    digits = torch.cat([classifier.classify(part).argmax(dim=1) for part in images.flatten(0, 1)[:, None].split(1000)])
    return digits.view(-1, 3) @ torch.tensor([100, 10, 1])


def mode_coverage(modes: Tensor, training_labels: Tensor) -> dict[str, float]:
    """`modes`, the number of different modes (N,) among samples, and `modes_kl`, their reverse KL to the training labels, in nats."""
    counts = torch.bincount(modes, minlength=1000).double()
    q, p = counts / counts.sum(), torch.bincount(training_labels, minlength=1000).double() / len(training_labels)
    return {"modes": float((counts > 0).sum()), "modes_kl": float((q * (q / p).log()).nan_to_num(0.0).sum())}
