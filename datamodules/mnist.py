"""MNIST and its relatives, or the small digits of scikit-learn, as one data module."""

import hashlib
import math
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from datamodules.loader import EvalLoader, TrainLoader, as_images, seeded
from datamodules.sources import Dataset, Split, data_root, load, provide


class MNISTDataModule(LightningDataModule):
    """Images (B, 1, 28, 28) in [0, 1] and labels (B,) 0 to 9, in batches `[images, labels]`.

    The official test images are the test set and serve for nothing else. For validation a tenth of the training images is kept back, 5,000
    at most, chosen by the seed.

    Args:
        dataset: `digits` are the 1,797 images inside scikit-learn, which need no network. Null means MNIST; where MNIST can neither be
            found nor downloaded, and no root is named, it means `digits`, with a warning.
        root: Folder of the data; default `$MNIST_ROOT`, else `data/`. Missing files are downloaded.
        batch_size: Images per optimiser step, over all processes.
        binarize: `static` draws each pixel once, with the probability of its grey value. `dynamic` draws the training images anew at every
            use. Validation and test images are drawn once, with a fixed seed, in both.
        limit: Take at most this many images of each split.
        epoch_images: An epoch shows at least this many images: a smaller set is passed several times, so that steps and schedules mean the
            same on all data sets. Null shows each image once.
        seed: Seed of the validation split, the order and the binarisation.
        verify: Refuse files of MNIST that are not the published ones, bit for bit. False accepts any that are well-formed.
    Raises:
        FileNotFoundError: If the data is not there and cannot be downloaded.
        ValueError: If a file is damaged; the message has the file, the expected and the found.
    """

    def __init__(
        self,
        dataset: Dataset | None = None,
        root: str | None = None,
        batch_size: int = 128,
        binarize: Literal["none", "static", "dynamic"] = "none",
        limit: int | None = None,
        epoch_images: int | None = None,
        seed: int = 0,
        verify: bool = True,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1 or null for all images, got {limit}")
        self.save_hyperparameters(ignore=["root"])  # where images lie is not part of what they are
        self.given_root = root
        self.dataset: str = dataset or "mnist"
        self.batch_size, self.binarize, self.limit, self.seed = batch_size, binarize, limit, seed
        self.epoch_images, self.verify = epoch_images, verify
        self.splits: dict[str, Split] = {}
        self.images_sha256 = ""

    @property
    def root(self) -> Path:
        return data_root(self.given_root)[0]

    def prepare_data(self) -> None:
        self.provide()

    def provide(self) -> str | None:
        """Make the data available, by download if need be; returns the reason if `digits` are taken in place of MNIST."""
        self.dataset, reason = provide(self.hparams["dataset"], *data_root(self.given_root))
        self.hparams["dataset"] = self.dataset
        if reason:
            warnings.warn(f"{reason}; taking {self.dataset} instead", stacklevel=3)
        return reason

    def setup(self, stage: str | None = None) -> None:
        if not self.splits:
            self.provide()
            given = load(self.dataset, self.root, self.verify)
            self.images_sha256 = sha256_of(given)
            self.splits = self._split(given)
        if self.trainer is not None:
            device = self.trainer.strategy.root_device
            self.splits = {name: Split(*(part.to(device) for part in split)) for name, split in self.splits.items()}

    def whole(self) -> "MNISTDataModule":
        """The data set itself, ready to hand out images: not limited, not binarised, split by seed 0. Judges and measures use it."""
        data = MNISTDataModule(self.dataset, root=str(self.root), verify=False)  # type: ignore[arg-type]
        data.setup()
        return data

    def train_dataloader(self) -> TrainLoader:
        train = self._split_of("train")
        passes = math.ceil((self.epoch_images or 1) / len(train.images))
        return TrainLoader(train, self.batch_size, self.seed, self.binarize, passes, *self._place())

    def val_dataloader(self) -> EvalLoader:
        return EvalLoader(self._split_of("val"), 500, *self._place())

    def test_dataloader(self) -> EvalLoader:
        return EvalLoader(self._split_of("test"), 500, *self._place())

    predict_dataloader = test_dataloader

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """All images and labels of "train", "val" or "test", in their order."""
        images, labels = self._split_of(split)
        return as_images(images), labels.long()

    def reference_images(self, split: str, n: int) -> tuple[Tensor, Tensor]:
        """The same `n` images and labels of "train" or "val" at every call, or all if there are fewer."""
        images, labels = self._split_of(split)
        rows = torch.randperm(len(images), generator=seeded(self.seed, 1))[:n].to(images.device)
        dynamic = split == "train" and self.binarize == "dynamic"
        return as_images(images[rows], seeded(self.seed, 2) if dynamic else None), labels[rows].long()

    def state_dict(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "images_sha256": self.images_sha256}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """ValueError unless the images are those of the checkpoint's run; version 0.1.0 stored only the name of the data set."""
        if state["dataset"] != self.dataset:
            raise ValueError(
                f"the checkpoint was trained on {state['dataset']}, this run has {self.dataset}:"
                f" resume with --data.dataset {state['dataset']}, or start anew"
            )
        expected = state.get("images_sha256", self.images_sha256)
        if self.splits and expected != self.images_sha256:
            raise ValueError(
                f"expected the images of {self.dataset} that the checkpoint's run has seen, sha256 {expected[:16]}...\n"
                f"got others in {self.root}/, sha256 {self.images_sha256[:16]}...\n"
                "name the folder that holds the same images: --data.root for fit and validate, --root for other commands"
            )

    def _split_of(self, name: str) -> Split:
        if not self.splits:
            self.setup()
        return self.splits[name]

    def _place(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _split(self, given: dict[str, Split]) -> dict[str, Split]:
        n = len(given["train"].images)
        order = torch.randperm(n, generator=seeded(self.seed, 0))
        n_val = min(5000, n // 10)
        rows = {"val": order[:n_val], "train": order[n_val:], "test": torch.arange(len(given["test"].images))}
        splits = {}
        for number, (name, chosen) in enumerate(rows.items()):
            images, labels = (part[chosen[: self.limit]] for part in given["test" if name == "test" else "train"])
            if self.binarize == "static" or (self.binarize == "dynamic" and name != "train"):
                images = (255 * as_images(images, seeded(self.seed, 3, number))).to(torch.uint8)
            splits[name] = Split(images, labels)
        return splits


def sha256_of(given: dict[str, Split]) -> str:
    """Of all images and labels of a data set, before they are split or limited."""
    digest = hashlib.sha256()
    for split in given.values():
        for part in split:
            digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()
