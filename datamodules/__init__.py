"""Data: uint8 images in memory or mapped from a file, dealt out a batch at a time.

`import datamodules` needs no torch, so that `lightning completion` answers at once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.images import ImageDataModule as ImageDataModule
    from datamodules.images import ImageDataModule as MNISTDataModule

__all__ = ["ImageDataModule", "MNISTDataModule"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'datamodules' has no attribute {name!r}")
    from datamodules.images import ImageDataModule

    return ImageDataModule  # MNISTDataModule was its name until own images came
