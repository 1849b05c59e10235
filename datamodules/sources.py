"""Where the images come from: data sets with a name, by torchvision, or the user's own.

A new data set with a name gets its shape and classes in `datamodules.named`, and its torchvision class in `FAMILY` (IDX files) or in
`datamodules.archives`.
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

from torchvision import datasets

from datamodules.archives import ARCHIVES, CONTENT, download_archive, find_archive, load_archive, urls_of
from datamodules.idx import check_published, read_split
from datamodules.named import NAMED, NAMES, unknown_name
from datamodules.small_digits import small_digits
from datamodules.split import Split
from datamodules.stacked import stacked

__all__ = ["FAMILY", "NAMES", "Split", "data_root", "find_files", "load", "own_path", "provide"]

FAMILY = {
    "mnist": datasets.MNIST,
    "fashion_mnist": datasets.FashionMNIST,
    "kmnist": datasets.KMNIST,
    "emnist_digits": datasets.EMNIST,
    "emnist_letters": datasets.EMNIST,
    "emnist_balanced": datasets.EMNIST,
}
PATIENCE = 10.0  # seconds of trying before a mirror counts as out of reach
Files = dict[str, tuple[Path, Path]]  # image and label file of "train" and "test"


def data_root(given: str | None) -> tuple[Path, bool]:
    """The folder of the data, and whether the user has named it: the one given, else `$MNIST_ROOT`, else `data/`."""
    named = given or os.environ.get("MNIST_ROOT")
    return Path(named or "data"), bool(named)


def own_path(dataset: str, root: str | None) -> Path | None:
    """The path of the user's own images: the one given or, if there is none, the same name in the folder that is named as root."""
    if dataset in NAMES:
        return None
    given = Path(dataset).expanduser()
    elsewhere = [Path(root) / given.name, Path(root)] if root else []
    return next((path for path in (given, *(place for place in elsewhere if place.name == given.name)) if path.exists()), None)


def file_names(dataset: str) -> dict[str, tuple[str, str]]:
    """The names of image and label file of "train" and "test"."""
    prefix, test = (f"{dataset.replace('_', '-')}-", "test") if dataset.startswith("emnist") else ("", "t10k")
    return {
        split: (f"{prefix}{name}-images-idx3-ubyte", f"{prefix}{name}-labels-idx1-ubyte")
        for split, name in {"train": "train", "test": test}.items()
    }


def torchvisions_folder(dataset: str, root: Path) -> Path:
    return root / ARCHIVES[dataset].__name__ if dataset in ARCHIVES else root / FAMILY[dataset].__name__ / "raw"


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
        dataset: A name, or the path of the user's own images. None means MNIST. Where MNIST can neither be found nor downloaded, and the
            user has named no root, it means `digits`.
        named_root: Whether the user has named the root.
    Returns:
        The name of the data set that is there (a path as it was given), and the reason if it is not MNIST.
    Raises:
        ValueError: It is neither a name nor a path.
        FileNotFoundError: It is not there and cannot be downloaded.
    """
    name = dataset or "mnist"
    if name not in NAMES:
        if own_path(name, str(root) if named_root else None) is None:
            raise unknown_name(name)
        return name, None
    if is_there(name, root):
        return name, None
    source = source_of(name)
    try:
        _download(source, root)
        return name, None
    except (OSError, RuntimeError) as error:
        reason = f"{source} is not in {root}/ and could not be downloaded ({error})"
        if dataset is None and not named_root:
            return "digits", reason
        files = (
            ", ".join(CONTENT[source])
            if source in ARCHIVES
            else f"{', '.join(sum(file_names(source).values(), ()))}, packed by gzip or not"
        )
        raise FileNotFoundError(
            f"{reason}\nexpected {files}, in {torchvisions_folder(source, root)}/ or {root}/, found {_content_of(root)}\n"
            "set --data.root or MNIST_ROOT to the folder that holds them, or take --data.dataset digits"
        ) from error


def source_of(dataset: str) -> str:
    """The data set whose files a data set is made from."""
    return "mnist" if dataset == "stacked_mnist" else dataset


def is_there(dataset: str, root: Path) -> bool:
    """Whether a data set with a name needs no download."""
    if dataset == "digits":
        return True
    dataset = source_of(dataset)
    return (find_archive if dataset in ARCHIVES else find_files)(dataset, root) is not None


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
    _probe(urls_of(dataset) if dataset in ARCHIVES else getattr(FAMILY[dataset], "mirrors", None) or [FAMILY[dataset].url])
    root.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".download-", dir=root))
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)  # torchvision's own download has no time limit
    try:
        target = torchvisions_folder(dataset, root)
        if dataset in ARCHIVES:
            download_archive(dataset, part)
            files = [part / name for name in CONTENT[dataset]]
        else:
            options = {"split": dataset.removeprefix("emnist_")} if dataset.startswith("emnist") else {}
            FAMILY[dataset](str(part), download=True, **options)
            files = list((part / target.parent.name / "raw").glob("*ubyte"))
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            if file.is_file() or not (target / file.name).exists():
                file.replace(target / file.name)
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
    """Images and labels of "train" and "test" of a data set with a name; ValueError names the file that is not what it should be.

    Args:
        verify: Refuse well-formed files that are not the published ones, where these are known (mnist).
    """
    if dataset == "digits":
        return small_digits()
    if dataset == "stacked_mnist":
        return stacked(load("mnist", root, verify))
    if dataset in ARCHIVES:
        folder = find_archive(dataset, root)
        if folder is None:
            raise FileNotFoundError(f"expected {dataset} in {root}/, found {_content_of(root)}")
        return load_archive(dataset, folder)
    files = find_files(dataset, root)
    if files is None:
        raise FileNotFoundError(f"expected {dataset} in {root}/, found {_content_of(root)}")
    splits, expected = {}, NAMED[dataset]
    for split, pair in files.items():
        images, labels = read_split(*pair, expected.shape[1:], len(expected.class_names), expected.first_label)
        for file in pair if verify and dataset == "mnist" else ():
            check_published(file)
        if dataset.startswith("emnist"):
            images = images.transpose(1, 2).contiguous()  # EMNIST's raw images lie transposed
        splits[split] = Split(images[:, None], labels)
    return splits
