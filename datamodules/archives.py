"""USPS, CIFAR-10 and SVHN, read by torchvision's own classes, which check the files."""

from pathlib import Path

import numpy as np
import torch
from torchvision import datasets

from datamodules.named import NAMED
from datamodules.refusal import refusal
from datamodules.split import Split

ARCHIVES = {"usps": datasets.USPS, "cifar10": datasets.CIFAR10, "svhn": datasets.SVHN}
CONTENT = {  # what torchvision leaves in its folder
    "usps": ("usps.bz2", "usps.t.bz2"),
    "cifar10": ("cifar-10-batches-py",),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
}


def find_archive(dataset: str, root: Path) -> Path | None:
    """The folder that holds the files of a data set: one of its own, or `root`."""
    places = (root / ARCHIVES[dataset].__name__, root)
    return next((place for place in places if all((place / name).exists() for name in CONTENT[dataset])), None)


def download_archive(dataset: str, folder: Path) -> None:
    for train in (True, False):
        _torchvisions(dataset, folder, train, download=True)


def urls_of(dataset: str) -> list[str]:
    kind = ARCHIVES[dataset]
    return [kind.url] if dataset == "cifar10" else [kind.split_list[split][0] for split in ("train", "test")]


def load_archive(dataset: str, folder: Path) -> dict[str, Split]:
    """Images and labels of "train" and "test"; ValueError if torchvision refuses the files."""
    expected, splits = NAMED[dataset], {}
    for split in ("train", "test"):
        try:
            read = _torchvisions(dataset, folder, split == "train")
        except ImportError as error:
            raise ImportError(f"{dataset} is read by scipy, which is not installed: pip install scipy") from error
        except Exception as error:  # of bz2, pickle, scipy: whatever damaged files lead to
            files = " and ".join(CONTENT[dataset])
            raise refusal(f"the published files of {dataset}", f"{type(error).__name__}: {error}", folder, f"fetch {files} anew") from error
        images = np.asarray(read.data)
        if images.ndim == 3:
            images = images[:, None]
        elif images.shape[-1] == 3:  # CIFAR-10 comes as (N, H, W, C)
            images = images.transpose(0, 3, 1, 2)
        labels = np.asarray(read.labels if dataset == "svhn" else read.targets)
        if images.shape[1:] != expected.shape or len(images) != len(labels) or not set(labels) <= set(range(10)):
            raise refusal(
                f"images of {expected.shape} with labels 0 to 9",
                f"{len(images)} of {images.shape[1:]} with {len(labels)} labels {labels.min()} to {labels.max()}",
                folder,
                f"fetch {dataset} anew",
            )
        splits[split] = Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.uint8)))
    return splits


def _torchvisions(dataset: str, folder: Path, train: bool, download: bool = False) -> datasets.VisionDataset:
    part = {"split": "train" if train else "test"} if dataset == "svhn" else {"train": train}
    return ARCHIVES[dataset](str(folder), download=download, **part)
