"""Any small images as one data module: data sets with a name, or the user's own."""

import math
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from datamodules.loader import EvalLoader, TrainLoader, as_images, seeded
from datamodules.named import NAMED, unknown_name
from datamodules.own import name_of, read_own, split_own
from datamodules.sides import check_size, fit_to, resized_shape
from datamodules.sources import data_root, load, own_path, provide
from datamodules.split import Split, pixel_variance_of, sha256_of
from datamodules.splitting import drawn, limited, split_for_validation
from lit_models.contracts import ImageShape


class ImageDataModule(LightningDataModule):
    """Images (B, C, H, W) in [0, 1] and labels (B,) from 0 on, in batches `[images, labels]`, or `[images]` if there are no labels.

    Official test images are the test set and serve for nothing else; of own images without a split, a fifth is. For validation a tenth of
    the training images is kept back, 5,000 at most, chosen by the seed, unless validation images are given.

    Args:
        dataset: A name (`datamodules.named`) or the path of your own images: a folder of PNG or JPEG images by class or flat, a .npz, .npy
            or .csv file, or IDX files. Null means MNIST; where MNIST can neither be found nor downloaded, and no root is named, it means
            `digits`, the 1,797 images inside scikit-learn, with a warning.
        root: Folder of the data sets with a name; default `$MNIST_ROOT`, else `data/`. Missing files are downloaded. Own images that are
            no longer at their path are looked for here.
        batch_size: Images per optimiser step, over all processes.
        binarize: `static` draws each pixel once, with the probability of its grey value. `dynamic` draws the training images anew at every
            use. Validation and test images are drawn once, with a fixed seed, in both.
        limit: Take at most this many images of each split.
        epoch_images: An epoch shows at least this many images: a smaller set is passed several times, so that steps and schedules mean the
            same on all data sets. Null shows each image once.
        seed: Seed of the splits, the order and the binarisation.
        verify: Refuse files of MNIST that are not the published ones, bit for bit. False accepts any that are well-formed.
        size: Resize the images to this side. By default only images of a side that networks cannot take are padded or resized.
        invert: Swap black and white, for dark ink on white paper.
    Raises:
        FileNotFoundError: If the data is not there and cannot be downloaded.
        ValueError: If a file is damaged or unfit; the message has the file, the expected and the found.
    """

    def __init__(
        self,
        dataset: str | None = None,
        root: str | None = None,
        batch_size: int = 128,
        binarize: Literal["none", "static", "dynamic"] = "none",
        limit: int | None = None,
        epoch_images: int | None = None,
        seed: int = 0,
        verify: bool = True,
        size: int | None = None,
        invert: bool = False,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1 or null for all images, got {limit}")
        if binarize not in ("none", "static", "dynamic"):
            raise ValueError(f"binarize must be none, static or dynamic, got {binarize!r}")
        check_size(size)
        self.save_hyperparameters(ignore=["root"])  # where images lie is not part of what they are
        self.given_root = root
        self.dataset: str = dataset or "mnist"
        self.batch_size, self.binarize, self.limit, self.seed = batch_size, binarize, limit, seed
        self.epoch_images, self.verify, self.size, self.invert = epoch_images, verify, size, invert
        self.splits: dict[str, Split] = {}
        self.images_sha256 = ""
        self._said = self._changed = ""
        self._class_names: tuple[str, ...] = ()
        self._pixel_variance: float | None = None

    @property
    def root(self) -> Path:
        return data_root(self.given_root)[0]

    @property
    def dataset_name(self) -> str:
        """The name of the data set: for own images the stem of their path."""
        return name_of(self.dataset)

    @property
    def image_shape(self) -> ImageShape:
        """(C, H, W) of the images in the batches. Own images are read for it."""
        if self.dataset in NAMED:
            return resized_shape(NAMED[self.dataset].shape, self.size)
        channels, height, width = self._split_of("train").images.shape[1:]
        return channels, height, width

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class; empty if the images have no labels. Own images are read for it."""
        if self.dataset in NAMED:
            return NAMED[self.dataset].class_names
        self._split_of("train")
        return self._class_names

    @property
    def classes(self) -> int | None:
        """The number of classes; None if the images have no labels."""
        return len(self.class_names) or None

    @property
    def pixel_variance(self) -> float:
        """The variance of all pixels in [0, 1] of all training images, before `limit` and `binarize`, rounded to four decimals."""
        if self.hparams["dataset"] is None and not self.splits:
            self.provide()
        known = NAMED[self.dataset].pixel_variance if self.dataset in NAMED and self.size is None else None
        if known is not None:
            return known
        self._split_of("train")
        assert self._pixel_variance is not None
        return self._pixel_variance

    def describe(self) -> str:
        """One sentence on the images: what a path was taken for, and what was done to them."""
        if self.dataset not in NAMED:
            self._split_of("train")
            return self._said
        channels, height, width = NAMED[self.dataset].shape
        fit = fit_to((height, width), self.size)
        words = [f"{self.dataset}: {'colour' if channels == 3 else 'grey'} images of {height} x {width}, {self.classes} classes"]
        return ", ".join([*words, *([fit.said] if fit.said else []), *(["inverted"] if self.invert else [])])

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
            given = self._load()
            self.images_sha256 = sha256_of(given)
            if self.dataset not in NAMED:
                given = split_own(given, seeded(self.seed, 4))
            if self.dataset not in NAMED or NAMED[self.dataset].pixel_variance is None or self.size is not None:
                self._pixel_variance = pixel_variance_of(given["train"])
            chosen = split_for_validation(given, self.seed, at_least=0 if self.dataset in NAMED else 1)
            self.splits = {
                name: drawn(limited(split, self.limit), self.binarize, name, seeded(self.seed, 3, number))
                for number, (name, split) in enumerate(chosen.items())
            }
            if self._changed:
                warnings.warn(f"the images of {self.dataset_name} are {self._changed}: networks take them so", stacklevel=2)
        if self.trainer is not None:
            device = self.trainer.strategy.root_device
            self.splits = {name: split.to(device) for name, split in self.splits.items()}

    def whole(self) -> "ImageDataModule":
        """The data set itself, ready to hand out images: not limited, not binarised. Judges and measures use it.

        Data sets with a name are split by seed 0. Own images are split by this module's seed, so that its test images stay test images.
        """
        seed = 0 if self.dataset in NAMED else self.seed
        data = ImageDataModule(self.dataset, root=str(self.root), verify=False, seed=seed, size=self.size, invert=self.invert)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="the images of .* are .*: networks take them so")
            data.setup()
        return data

    def train_dataloader(self) -> TrainLoader:
        train = self._split_of("train")
        passes = math.ceil((self.epoch_images or 1) / train.n)
        return TrainLoader(train, self.batch_size, self.seed, self.binarize, passes, *self._place())

    def val_dataloader(self) -> EvalLoader:
        return EvalLoader(self._split_of("val"), 500, *self._place())

    def test_dataloader(self) -> EvalLoader:
        return EvalLoader(self._split_of("test"), 500, *self._place())

    predict_dataloader = test_dataloader

    def images(self, split: str) -> tuple[Tensor, Tensor | None]:
        """All images and labels of "train", "val" or "test", in their order; labels are None if there are none."""
        chosen = self._split_of(split).copied()
        return as_images(chosen.images), None if chosen.labels is None else chosen.labels.long()

    def reference_images(self, split: str, n: int) -> tuple[Tensor, Tensor | None]:
        """The same `n` images and labels of "train" or "val" at every call, or all if there are fewer."""
        chosen = self._split_of(split)
        rows = torch.randperm(chosen.n, generator=seeded(self.seed, 1))[:n].to(chosen.images.device)
        images, labels = chosen.take(rows)
        dynamic = split == "train" and self.binarize == "dynamic"
        return as_images(images, seeded(self.seed, 2) if dynamic else None), labels

    def state_dict(self) -> dict[str, Any]:
        said: dict[str, Any] = {"dataset": self.dataset_name, "images_sha256": self.images_sha256}
        if self.dataset in NAMED or self.splits:
            said |= {"image_shape": list(self.image_shape), "classes": self.classes, "class_names": list(self.class_names)}
        return said

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """ValueError unless the images are those of the checkpoint's run; version 0.1.0 stored only the name of the data set."""
        if state["dataset"] != self.dataset_name:
            raise ValueError(
                f"the checkpoint was trained on {state['dataset']}, this run has {self.dataset_name}:"
                f" resume with --data.dataset {state['dataset']}, or start anew"
            )
        expected = state.get("images_sha256", self.images_sha256)
        if self.splits and expected != self.images_sha256:
            own = self.dataset not in NAMED
            raise ValueError(
                f"expected the images of {self.dataset_name} that the checkpoint's run has seen, sha256 {expected[:16]}...\n"
                f"got others in {self.dataset if own else f'{self.root}/'}, sha256 {self.images_sha256[:16]}...\n"
                "name the folder that holds the same images: --data.root for fit and validate, --root for other commands"
            )

    def _load(self) -> dict[str, Split]:
        """The data set before it is split or limited."""
        path = own_path(self.dataset, self.given_root)
        if path is None and self.dataset not in NAMED:
            raise unknown_name(self.dataset)
        if path is not None:
            own = read_own(path, self.size, self.invert)
            self._said, self._changed, self._class_names = own.said, own.changed, own.class_names
            return own.given
        given = load(self.dataset, self.root, self.verify)
        fit = fit_to(NAMED[self.dataset].shape[1:], self.size)
        self._changed = fit.said
        if fit.said or self.invert:
            for name, split in given.items():
                images = torch.cat([fit(chunk) for chunk in split.chunks()])
                given[name] = Split(255 - images if self.invert else images, split.labels)
        return given

    def _split_of(self, name: str) -> Split:
        if not self.splits:
            self.setup()
        return self.splits[name]

    def _place(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
