r"""Spaces of features in which sets of images are compared. None of them is the judge's.

The judge's classifiers were taught to read blurred digits, so distances in their features hardly see blur. A yardstick measures every
distance in three other spaces:

- `first`: a classifier with convolutions of 5 x 5 and maxima over 2 x 2, trained on clean images;
- `second`: a classifier of another kind, a perceptron with two hidden layers, trained on clean images;
- `untrained`: two layers of fixed random convolutions. Nothing was learnt, so nothing was tuned, and every data set has this space.

Neither classifier has normalisation layers: with GroupNorm, a classifier of the same accuracy does not see contrast, and sees a mean over
3 x 3 pixels at 3 times the distance of two sets of real images instead of 50 (`lit_models.evaluation.distortions` measures it).

The last images of a training set are held out: no network of a yardstick was trained on them. They stand for real images where samples
are compared with real images, so that a distance has a floor (`held_out`).

The features of each space are centred and divided by one number, so that they have zero mean and unit variance over real images.
"""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d

from datamodules.own import name_of
from lit_models.checkpoints.files import replacing
from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.yardstick_files import SHIPPED as FILES
from lit_models.evaluation.yardstick_files import find, read

SHIPPED = FILES["spaces"]
REFERENCE = 2000  # real images by which features are standardised
PART = 500  # images at a time


def held_out(n: int) -> int:
    """The number of images at the end of a training set of `n` that no network of a yardstick is trained on: a fifth, 10,000 at most."""
    return min(10_000, n // 5)


class RandomConvolutions(nn.Module):
    r"""Images (B, `colours`, H, W) to features (B, `width`) that nothing was learnt for.

    Two layers of random convolutions, each kernel with zero mean and unit norm, each followed by the positive part and by averages, and a
    random projection. All draws have a fixed seed, so this space is the same everywhere.

    Reference: Saxe et al., On Random Weights and Unsupervised Feature Learning, 2011 (random convolutions with pooling select features).
    """

    def __init__(self, width: int = 128, channels: tuple[int, int] = (32, 64), seed: int = 0, colours: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.width = width
        self.register_buffer("fine", _kernels(channels[0], colours, 5, generator))
        self.register_buffer("coarse", _kernels(channels[1], channels[0], 3, generator))
        projection = torch.randn(channels[1] * 16, width, generator=generator) / math.sqrt(channels[1] * 16)
        self.register_buffer("projection", projection)

    def forward(self, images: Tensor) -> Tensor:
        found = conv2d(images.contiguous(memory_format=torch.channels_last), self.fine, padding=2).relu()
        found = conv2d(avg_pool2d(found, 2), self.coarse, padding=1).relu()
        return adaptive_avg_pool2d(found, 4).flatten(1) @ self.projection


def _kernels(out: int, given: int, size: int, generator: torch.Generator) -> Tensor:
    kernels = torch.randn(out, given, size, size, generator=generator)
    kernels = kernels - kernels.mean(dim=(1, 2, 3), keepdim=True)
    return (kernels / kernels.flatten(1).norm(dim=1)[:, None, None, None]).contiguous(memory_format=torch.channels_last)


class Spaces(nn.Module):
    """The spaces of a yardstick by name.

    Args:
        networks: Images (B, C, H, W) to features (B, D), by the name of the space.
        images: Real images by which features are standardised.
        sha256: Of the file that the trained networks come from; empty without trained networks.
    """

    def __init__(self, networks: dict[str, nn.Module], images: Tensor, sha256: str = "") -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks).eval().requires_grad_(False)
        self.sha256 = sha256
        for name, network in self.networks.items():
            raw = _in_parts(network, images[:REFERENCE])
            centre = raw.mean(dim=0)
            self.register_buffer(f"{name}_centre", centre)
            self.register_buffer(f"{name}_scale", (raw - centre).square().mean().sqrt())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, D) of images (N, C, H, W), by the name of the space."""
        return {name: self.features(name, images) for name in self.networks}

    def features(self, name: str, images: Tensor) -> Tensor:
        """Features (N, D) of images (N, C, H, W) in one space."""
        raw = _in_parts(self.networks[name], images)
        return (raw - getattr(self, f"{name}_centre")) / getattr(self, f"{name}_scale")

    @property
    def widths(self) -> dict[str, int]:
        return {name: len(getattr(self, f"{name}_centre")) for name in self.networks}


@torch.no_grad()
def _in_parts(network: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([network(part.float()) for part in images.split(PART)])


def spaces_of(dataset: str, images: Tensor, file: Path | None = None, data: Any = None) -> Spaces:
    """The spaces of a data set: the trained ones of a file, if there is one, and the untrained one.

    Args:
        images: Real images of the data set by which features are standardised.
        file: By default the one that `lit_models.evaluation.yardstick_files` finds.
        data: The data module that the images come from, by which a file beside the data is found.
    Raises:
        ValueError: If the file is damaged, or belongs to another data set or to other images.
    """
    networks: dict[str, nn.Module] = {}
    data = SimpleNamespace(image_shape=tuple(images.shape[1:])) if data is None else data
    found = find("spaces", dataset, data) if file is None else read(file)
    if found is not None:
        if found.saved["dataset"] != name_of(dataset):
            raise ValueError(
                f"expected networks for {dataset}, got those for {found.saved['dataset']} in {found.file}: make some with lightning judge"
            )
        networks = {name: classifier.trunk for name, classifier in classifiers_of(found.saved).items()}
    return Spaces(networks | {"untrained": RandomConvolutions(colours=images.shape[1])}, images, found.sha256 if found else "")


def classifiers_of(saved: dict[str, Any]) -> dict[str, Classifier]:
    """The classifiers `first` and `second` of a file of spaces."""
    classifiers = nn.ModuleDict({name: Classifier(**given) for name, given in saved["classifiers"].items()})
    classifiers.load_state_dict({name: value.float() for name, value in saved["state_dict"].items()})
    return dict(classifiers.eval().items())  # type: ignore[arg-type]


def save_spaces(
    first: Classifier, second: Classifier, dataset: str, trained_on: int, recipe: str, file: Path, images_sha256: str = ""
) -> None:
    """Weights in half precision, and how the classifiers were made, as plain tensors and strings.

    Args:
        trained_on: The classifiers have seen this many of the first training images, and no others.
        images_sha256: Names the images of the whole data set.
    """
    classifiers = nn.ModuleDict({"first": first, "second": second})
    state = {name: value.half() for name, value in classifiers.state_dict().items()}
    hyper_parameters = {name: dict(each.hparams) for name, each in classifiers.items()}
    saved = {"state_dict": state, "classifiers": hyper_parameters, "dataset": name_of(dataset), "trained_on": trained_on, "recipe": recipe}
    saved["images_sha256"] = images_sha256
    with replacing(file) as part:
        torch.save(saved, part)
