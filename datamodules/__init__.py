"""Data: uint8 images in memory, dealt out a batch at a time."""

from datamodules.mnist import MNISTDataModule

__all__ = ["MNISTDataModule"]
