"""Where the images come from: MNIST's family by torchvision, the digits inside scikit-learn, and the choice between them."""

import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision import datasets

from datamodules.idx import check_published, read_split

FAMILY = {
    "mnist": datasets.MNIST,
    "fashion_mnist": datasets.FashionMNIST,
    "kmnist": datasets.KMNIST,
    "emnist_digits": datasets.EMNIST,
}
NAMES = (*FAMILY, "digits")
PATIENCE = 10.0  # seconds of trying before a mirror counts as out of reach


class Split(NamedTuple):
    images: Tensor  # (N, 1, 28, 28) uint8
    labels: Tensor  # (N,) uint8


def raw_files(dataset: str, root: Path) -> dict[str, tuple[Path, Path]]:
    """Image and label file of "train" and "test", where torchvision keeps them."""
    folder = root / FAMILY[dataset].__name__ / "raw"
    names = {"train": "train", "test": "test" if dataset == "emnist_digits" else "t10k"}
    prefix = "emnist-digits-" if dataset == "emnist_digits" else ""
    return {
        split: (folder / f"{prefix}{name}-images-idx3-ubyte", folder / f"{prefix}{name}-labels-idx1-ubyte") for split, name in names.items()
    }


def is_present(dataset: str, root: Path) -> bool:
    return dataset == "digits" or all(file.is_file() for pair in raw_files(dataset, root).values() for file in pair)


def provide(dataset: str, root: Path, fallback: str | None) -> tuple[str, str | None]:
    """Make `dataset` available under `root`, by download if need be.

    Returns:
        The data set that is there, and the reason if that is the fallback.
    Raises:
        ValueError: Unknown name.
        FileNotFoundError: Neither there nor to be had, and no fallback named.
    """
    for name in filter(None, (dataset, fallback)):
        if name not in NAMES:
            raise ValueError(f"dataset must be one of {', '.join(NAMES)}; got {name!r}")
    if is_present(dataset, root):
        return dataset, None
    try:
        _download(dataset, root)
        return dataset, None
    except (OSError, RuntimeError) as error:
        reason = f"{dataset} is not in {root}/ and could not be downloaded ({error})"
        if fallback is None:
            raise FileNotFoundError(f"{reason}: set MNIST_ROOT to a folder that holds it, or take the dataset digits") from error
        return fallback, reason


def _download(dataset: str, root: Path) -> None:
    """Into a folder of its own beside the target, moved when whole: two processes may try at once."""
    _probe(getattr(FAMILY[dataset], "mirrors", None) or [FAMILY[dataset].url])
    root.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".download-", dir=root))
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)  # torchvision's own download waits for ever
    try:
        options = {"split": "digits"} if dataset == "emnist_digits" else {}
        FAMILY[dataset](str(part), download=True, **options)
        raw = raw_files(dataset, root)["train"][0].parent
        raw.mkdir(parents=True, exist_ok=True)
        for file in (part / raw.parent.name / "raw").glob("*ubyte"):
            file.replace(raw / file.name)
    finally:
        socket.setdefaulttimeout(patience)
        shutil.rmtree(part, ignore_errors=True)


def _probe(mirrors: list[str]) -> None:
    """Return once any mirror answers; OSError if none does in time. In a thread: looking up a name knows no time limit."""
    answered, failures = threading.Event(), []

    def ask(url: str) -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE):
                answered.set()
        except urllib.error.HTTPError:  # an answer all the same: the folder itself need not be listed
            answered.set()
        except OSError as error:
            failures.append(str(getattr(error, "reason", error)))

    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in mirrors]
    for thread in threads:
        thread.start()
    waited = 0.0
    while not answered.wait(0.05):
        waited += 0.05
        if waited > PATIENCE or len(failures) == len(mirrors):
            raise OSError(failures[0] if failures else f"no answer in {PATIENCE:.0f} s")


def load(dataset: str, root: Path, verify: bool = True) -> dict[str, Split]:
    """Images and labels of "train" and "test"; ValueError names the file that is not what it should be.

    Args:
        verify: Refuse files that are well-formed and not those that were published, where these are known (mnist).
    """
    if dataset == "digits":
        return _digits()
    splits = {}
    for split, files in raw_files(dataset, root).items():
        images, labels = read_split(*files)
        for file in files if verify and dataset == "mnist" else ():
            check_published(file)
        if dataset == "emnist_digits":
            images = images.transpose(1, 2).contiguous()  # EMNIST's raw images lie transposed
        splits[split] = Split(images[:, None], labels)
    return splits


def _digits() -> dict[str, Split]:
    """The 1,797 digits inside scikit-learn, 8 x 8 in 17 shades, enlarged to 20 x 20 within 28 x 28 as MNIST's are.

    They have no official test set: every fifth image is one.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float()[:, None] / 16
    large = interpolate(small, size=(20, 20), mode="bicubic", antialias=True).clamp(0, 1)
    images = torch.nn.functional.pad((255 * large).round().to(torch.uint8), (4, 4, 4, 4))
    labels = torch.from_numpy(bunch.target).to(torch.uint8)
    test = torch.arange(len(images)) % 5 == 4
    return {"train": Split(images[~test], labels[~test]), "test": Split(images[test], labels[test])}
