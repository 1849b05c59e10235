"""Checks of IDX files, the format of MNIST and its relatives: http://yann.lecun.com/exdb/mnist/

torchvision only looks whether the files exist; a truncated download would be met deep inside a reshape.
"""

import struct
from pathlib import Path

import torch
from torchvision.datasets.mnist import read_image_file, read_label_file


def read_split(images_file: Path, labels_file: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 28, 28) and labels (N,), uint8 both.

    Raises:
        ValueError: If a file is truncated, too long, of another kind or shape, the two disagree, or a label is over 9.
    """
    n_images = _check(images_file, magic=0x803, shape=(28, 28))
    n_labels = _check(labels_file, magic=0x801, shape=())
    if n_images != n_labels:
        raise ValueError(f"{labels_file}: expected {n_images} labels, one for each image of {images_file.name}, found {n_labels}")
    images, labels = read_image_file(str(images_file)), read_label_file(str(labels_file))
    if labels.max() > 9:
        raise ValueError(f"{labels_file}: expected labels 0 to 9, found {int(labels.max())}: the file is damaged, fetch it anew")
    return images, labels.to(torch.uint8)


def _check(file: Path, magic: int, shape: tuple[int, ...]) -> int:
    """Number of items that header and length of the file agree upon."""
    size = file.stat().st_size
    header = 8 + 4 * len(shape)
    with file.open("rb") as stream:
        start = stream.read(header)
    if len(start) < header:
        raise ValueError(f"{file}: expected an IDX header of {header} bytes, found {size} bytes: fetch it anew")
    found_magic, count, *found_shape = struct.unpack(f">{header // 4}I", start)
    if found_magic != magic:
        raise ValueError(f"{file}: expected an IDX file of kind {magic:#06x}, found {found_magic:#06x}: fetch it anew")
    if tuple(found_shape) != shape:
        raise ValueError(f"{file}: expected items of shape {shape}, found {tuple(found_shape)}")
    expected = header + count * (28 * 28 if shape else 1)
    if count == 0 or size != expected:
        raise ValueError(f"{file}: expected {expected} bytes for {count} items, found {size}: truncated or damaged, fetch it anew")
    return count
