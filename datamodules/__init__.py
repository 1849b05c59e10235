"""Data: uint8 images in memory or mapped from a file, dealt out a batch at a time."""

from datamodules.images import ImageDataModule

MNISTDataModule = ImageDataModule  # its name until own images came

__all__ = ["ImageDataModule", "MNISTDataModule"]
