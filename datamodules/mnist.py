"""MNIST and its relatives, or the small digits of scikit-learn, as one data module."""

import math
import os
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from datamodules.loader import EvalLoader, TrainLoader, as_images, seeded
from datamodules.sources import Split, load, provide

Dataset = Literal["mnist", "fashion_mnist", "kmnist", "emnist_digits", "digits"]


class MNISTDataModule(LightningDataModule):
    """Images (B, 1, 28, 28) in [0, 1] and labels (B,) 0 to 9, in batches `[images, labels]`.

    The official test images are the test set and serve nothing else; a tenth of the training images at most, chosen by
    the seed, is kept back for validation.

    Args:
        dataset: `digits`, the 1,797 images inside scikit-learn, needs no network.
        root: Folder of the data; default `$MNIST_ROOT`, else `data/`. Missing files are downloaded.
        fallback: What to take, with a warning, where `dataset` is neither there nor to be had; None is an error.
        batch_size: Images of one optimiser step, shared by all processes.
        binarize: `static` draws each pixel once, from its grey value; `dynamic` draws the training images anew at every
            use. Validation and test are drawn once, with a fixed seed, in both.
        limit: Take no more than this many images of each split.
        epoch_images: What an epoch shows at least: a smaller set is gone through several times, so that steps and schedules mean
            the same on all data sets. None shows each image once.
        seed: Of the validation split, the order and the binarisation.
        verify: Refuse files of MNIST that are not the published ones, bit for bit; false takes any that are well-formed.
    Raises:
        FileNotFoundError: No data and no fallback.
        ValueError: Damaged files; the message has the file, the expected and the found.
    """

    def __init__(
        self,
        dataset: Dataset = "mnist",
        root: str | None = None,
        fallback: Dataset | None = None,
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
        self.save_hyperparameters(ignore=["root", "fallback"])  # where images lie is no part of what they are
        self.root = Path(root or os.environ.get("MNIST_ROOT") or "data")
        self.dataset: str = dataset
        self.fallback, self.batch_size, self.binarize, self.limit, self.seed = fallback, batch_size, binarize, limit, seed
        self.epoch_images, self.verify = epoch_images, verify
        self.splits: dict[str, Split] = {}

    def prepare_data(self) -> None:
        self._provide()

    def setup(self, stage: str | None = None) -> None:
        if not self.splits:
            self._provide()
            self.splits = self._split(load(self.dataset, self.root, self.verify))
        if self.trainer is not None:
            device = self.trainer.strategy.root_device
            self.splits = {name: Split(*(part.to(device) for part in split)) for name, split in self.splits.items()}

    def train_dataloader(self) -> TrainLoader:
        train = self.splits["train"]
        passes = math.ceil((self.epoch_images or 1) / len(train.images))
        return TrainLoader(train, self.batch_size, self.seed, self.binarize, passes, *self._place())

    def val_dataloader(self) -> EvalLoader:
        return EvalLoader(self.splits["val"], 500, *self._place())

    def test_dataloader(self) -> EvalLoader:
        return EvalLoader(self.splits["test"], 500, *self._place())

    predict_dataloader = test_dataloader

    def images(self, split: str) -> tuple[Tensor, Tensor]:
        """All images and labels of "train", "val" or "test", in their order."""
        images, labels = self.splits[split]
        return as_images(images), labels.long()

    def reference_images(self, split: str, n: int) -> tuple[Tensor, Tensor]:
        """The same `n` images and labels of "train" or "val" at every call, or all if there are fewer."""
        images, labels = self.splits[split]
        rows = torch.randperm(len(images), generator=seeded(self.seed, 1))[:n].to(images.device)
        dynamic = split == "train" and self.binarize == "dynamic"
        return as_images(images[rows], seeded(self.seed, 2) if dynamic else None), labels[rows].long()

    def state_dict(self) -> dict[str, Any]:
        return {"dataset": self.dataset}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["dataset"] != self.dataset:
            raise ValueError(
                f"the checkpoint was trained on {state['dataset']}, this run has {self.dataset}:"
                f" resume with --data.dataset {state['dataset']}, or start anew"
            )

    def _provide(self) -> None:
        self.dataset, reason = provide(self.dataset, self.root, self.fallback)
        if reason:
            warnings.warn(f"{reason}; taking {self.dataset} instead", stacklevel=2)

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
