"""Images that are the same at every call, from a data module or from the data set of a plain loader."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from datamodules.contracts import HasImages, HasReferenceImages


def fixed_images(trainer: Trainer, split: str, n: int) -> tuple[Tensor, Tensor | None]:
    """The same `n` images and labels of "train" or "val" at every call, or all if there are fewer; labels None if none are known.

    A data module says which by `reference_images`. Of a plain loader they are chosen from its data set by a fixed seed.

    Raises:
        ValueError: If there is no such loader.
    """
    if isinstance(trainer.datamodule, HasReferenceImages):
        return trainer.datamodule.reference_images(split, n)
    return images_of_loader(loader_of(trainer, split), n)


def training_images(trainer: Trainer) -> tuple[Tensor, Tensor | None]:
    """All training images and their labels, before the first step."""
    if isinstance(trainer.datamodule, HasImages):
        return trainer.datamodule.images("train")
    return images_of_loader(loader_of(trainer, "train"), None)


def loader_of(trainer: Trainer, split: str) -> Any:
    source = trainer.fit_loop._data_source if split == "train" else trainer.fit_loop.epoch_loop.val_loop._data_source
    if not source.is_defined():
        raise ValueError(f"expected a loader of {'training' if split == 'train' else 'validation'} images, got none")
    loader = source.dataloader()
    return loader[0] if isinstance(loader, list | tuple) else loader


def images_of_loader(loader: Any, n: int | None) -> tuple[Tensor, Tensor | None]:
    """`n` images (None: all) of a loader's data set, and their labels. Random state is as it was before."""
    dataset = getattr(loader, "dataset", None)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        if dataset is None or not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            batches = iter(loader) if n is None else islice(loader, n)  # n batches hold n images at least
        else:
            rows = torch.randperm(len(dataset))[:n].tolist() if n is not None else list(range(len(dataset)))
            collate = loader.collate_fn or torch.utils.data.default_collate
            batches = (collate([dataset[row] for row in rows[start : start + 500]]) for start in range(0, len(rows), 500))
        images, labels, count = [], [], 0
        for batch in batches:
            parts = batch if isinstance(batch, list | tuple) else [batch]
            images.append(parts[0])
            labels += [parts[1]] if len(parts) > 1 else []
            count += len(parts[0])
            if n is not None and count >= n:
                break
    return torch.cat(images)[:n], torch.cat(labels)[:n] if labels else None


def class_names_of(trainer: Trainer, classes: int) -> tuple[str, ...]:
    """The names of this many classes, from the data module; "0", "1" and so on where it has none."""
    return names_of_classes(getattr(trainer.datamodule, "class_names", None) or (), classes)


def names_of_classes(names: Sequence[str], classes: int) -> tuple[str, ...]:
    """The first `classes` names; the number of a class stands for a name that is missing."""
    return tuple(str(names[label]) if label < len(names) else str(label) for label in range(classes))


def data_name(trainer: Trainer) -> str:
    """The name of the data set, for captions and messages."""
    if trainer.datamodule is not None:
        data = trainer.datamodule
        return str(getattr(data, "dataset_name", None) or getattr(data, "dataset", type(data).__name__.lower()))
    dataset = getattr(trainer.fit_loop._data_source.instance, "dataset", None)
    while hasattr(dataset, "dataset"):  # a Subset
        dataset = getattr(dataset, "dataset")  # noqa: B009
    return "own images" if dataset is None else type(dataset).__name__
