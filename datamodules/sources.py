"""Where the images come from: MNIST's family by torchvision, or the digits inside scikit-learn.

A new data set of this form gets its name in `Dataset` and its torchvision class in `FAMILY`. Other data comes by a data module of your own,
which a config names (README, "Add your own data").
"""

import os
import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision import datasets

from datamodules.idx import check_published, read_split

Dataset = Literal["mnist", "fashion_mnist", "kmnist", "emnist_digits", "digits"]
FAMILY = {
    "mnist": datasets.MNIST,
    "fashion_mnist": datasets.FashionMNIST,
    "kmnist": datasets.KMNIST,
    "emnist_digits": datasets.EMNIST,
}
NAMES = get_args(Dataset)
PATIENCE = 10.0  # seconds of trying before a mirror counts as out of reach
Files = dict[str, tuple[Path, Path]]  # image and label file of "train" and "test"


class Split(NamedTuple):
    images: Tensor  # (N, 1, 28, 28) uint8
    labels: Tensor  # (N,) uint8


def data_root(given: str | None) -> tuple[Path, bool]:
    """The folder of the data, and whether the user has named it: the one given, else `$MNIST_ROOT`, else `data/`."""
    named = given or os.environ.get("MNIST_ROOT")
    return Path(named or "data"), bool(named)


def file_names(dataset: str) -> dict[str, tuple[str, str]]:
    """The names of image and label file of "train" and "test"."""
    prefix, test = ("emnist-digits-", "test") if dataset == "emnist_digits" else ("", "t10k")
    return {
        split: (f"{prefix}{name}-images-idx3-ubyte", f"{prefix}{name}-labels-idx1-ubyte")
        for split, name in {"train": "train", "test": test}.items()
    }


def torchvisions_folder(dataset: str, root: Path) -> Path:
    return root / FAMILY[dataset].__name__ / "raw"


def find_files(dataset: str, root: Path) -> Files | None:
    """The files of a data set where torchvision keeps them, in a part of that path, or right in `root`; packed by gzip or not."""
    folder = torchvisions_folder(dataset, root)
    for place in (folder, folder.parent, root / "raw", root):
        found: Files = {}
        for split, names in file_names(dataset).items():
            images, labels = (next((file for file in (place / name, place / f"{name}.gz") if file.is_file()), None) for name in names)
            if images and labels:
                found[split] = (images, labels)
        if len(found) == 2:
            return found
    return None


def provide(dataset: str | None, root: Path, named_root: bool) -> tuple[str, str | None]:
    """Make a data set available under `root`, by download if need be.

    Args:
        dataset: None means MNIST. Where MNIST can neither be found nor downloaded, and the user has named no root, it means `digits`.
        named_root: Whether the user has named the root.
    Returns:
        The name of the data set that is there, and the reason if it is not MNIST.
    Raises:
        ValueError: Unknown name.
        FileNotFoundError: It is not there and cannot be downloaded.
    """
    name = dataset or "mnist"
    if name not in NAMES:
        raise ValueError(f"dataset must be one of {', '.join(NAMES)}; got {name!r}")
    if name == "digits" or find_files(name, root):
        return name, None
    try:
        _download(name, root)
        return name, None
    except (OSError, RuntimeError) as error:
        reason = f"{name} is not in {root}/ and could not be downloaded ({error})"
        if dataset is None and not named_root:
            return "digits", reason
        raise FileNotFoundError(
            f"{reason}\nexpected {', '.join(sum(file_names(name).values(), ()))}, packed by gzip or not, in"
            f" {torchvisions_folder(name, root)}/ or {root}/, found {_content_of(root)}\n"
            "set --data.root or MNIST_ROOT to the folder that holds them, or take --data.dataset digits"
        ) from error


def _content_of(root: Path) -> str:
    """What lies in a folder, in a few words."""
    if not root.is_dir():
        return "no such folder"
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))[:5]
    kinds = Counter(path.suffix or path.name for path in root.rglob("*") if path.is_file())
    files = [f"{count} {kind} file{'s' * (count > 1)}" for kind, count in kinds.most_common(3)]
    return " and ".join(([f"folders {', '.join(folders)}"] if folders else []) + files) or "nothing"


def _download(dataset: str, root: Path) -> None:
    """Download into a folder of its own next to the target, and move the files when they are whole: two processes may try at once."""
    _probe(getattr(FAMILY[dataset], "mirrors", None) or [FAMILY[dataset].url])
    root.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".download-", dir=root))
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)  # torchvision's own download has no time limit
    try:
        options = {"split": "digits"} if dataset == "emnist_digits" else {}
        FAMILY[dataset](str(part), download=True, **options)
        raw = torchvisions_folder(dataset, root)
        raw.mkdir(parents=True, exist_ok=True)
        for file in (part / raw.parent.name / "raw").glob("*ubyte"):
            file.replace(raw / file.name)
    finally:
        socket.setdefaulttimeout(patience)
        shutil.rmtree(part, ignore_errors=True)


def _probe(mirrors: list[str]) -> None:
    """Return once any mirror answers; OSError if none does in time. In threads, because looking up a name has no time limit."""
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
        verify: Refuse well-formed files that are not the published ones, where these are known (mnist).
    """
    if dataset == "digits":
        return _digits()
    files = find_files(dataset, root)
    if files is None:
        raise FileNotFoundError(f"expected {dataset} in {root}/, found {_content_of(root)}")
    splits = {}
    for split, pair in files.items():
        images, labels = read_split(*pair)
        for file in pair if verify and dataset == "mnist" else ():
            check_published(file)
        if dataset == "emnist_digits":
            images = images.transpose(1, 2).contiguous()  # EMNIST's raw images lie transposed
        splits[split] = Split(images[:, None], labels)
    return splits


def _digits() -> dict[str, Split]:
    """The 1,797 digits inside scikit-learn, 8 x 8 in 17 shades, enlarged to 20 x 20 within 28 x 28 as MNIST's are.

    They have no official test set: every fifth image is a test image.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float()[:, None] / 16
    large = interpolate(small, size=(20, 20), mode="bicubic", antialias=True).clamp(0, 1)
    images = torch.nn.functional.pad((255 * large).round().to(torch.uint8), (4, 4, 4, 4))
    labels = torch.from_numpy(bunch.target).to(torch.uint8)
    test = torch.arange(len(images)) % 5 == 4
    return {"train": Split(images[~test], labels[~test]), "test": Split(images[test], labels[test])}
