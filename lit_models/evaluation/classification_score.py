r"""Classification accuracy score (CAS): the accuracy, on real images, of a classifier that was trained on samples and their labels.

It is low if samples do not show the class asked for, if they are not like real images, and if they do not vary as real images do. Real
images in the place of the samples give the score that is attainable with this classifier and this number of images.

Reference: Ravuri & Vinyals, Classification Accuracy Score for Conditional Generative Models, 2019, https://arxiv.org/abs/1905.10887
(there with a ResNet-50 on ImageNet; here with a network small enough to be trained in seconds).
"""

from itertools import chain, pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lit_models.contracts import ImageShape
from lit_models.image_shape import grid_of

STEPS, BATCH, RATE = 600, 100, 3e-3


def classification_score(images: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor, classes: int = 10, seed: int = 0) -> float:
    """Share of `real` images (M, C, H, W) that are classified rightly after training on `images` (N, C, H, W) for 600 steps.

    The result depends on the arguments alone: weights and order of the images come from `seed`.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        network = _network(tuple(images.shape[1:]), classes).to(images.device, memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), RATE, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
        rows = torch.cat([torch.randperm(len(images)) for _ in range(1 + STEPS * BATCH // len(images))])
        for chosen in rows[: STEPS * BATCH].split(BATCH):
            loss = cross_entropy(network(images[chosen].contiguous(memory_format=torch.channels_last)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        found = torch.cat([network(part).argmax(dim=1) for part in real.split(500)])
    return float((found == real_labels).double().mean())


def _network(image_shape: ImageShape, classes: int) -> nn.Sequential:
    """Images to logits (B, classes): strided convolutions to a grid, two for a side of 28, without normalisation."""
    grid, halvings = grid_of(image_shape)
    maps = [*[image_shape[0], 16, 32, 32][:halvings], 32]
    convolutions = [(nn.Conv2d(given, out, 4, stride=2, padding=1), nn.ReLU()) for given, out in pairwise(maps)]
    dense = nn.Flatten(), nn.Linear(32 * grid**2, 64), nn.ReLU(), nn.Linear(64, classes)
    return nn.Sequential(*chain(*convolutions), *dense)
