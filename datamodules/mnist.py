"""The old place of the data module, for configs and checkpoints that name it."""

from datamodules.images import ImageDataModule as MNISTDataModule

__all__ = ["MNISTDataModule"]
