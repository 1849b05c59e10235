"""Checks of IDX files, the format of MNIST and its relatives: http://yann.lecun.com/exdb/mnist/

torchvision only looks whether the files exist; a truncated download would be met deep inside a reshape.
"""

import hashlib
import struct
from pathlib import Path

import torch
from torchvision.datasets.mnist import read_image_file, read_label_file

PUBLISHED = {  # sha256 of MNIST's four files, unpacked
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


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


def check_published(file: Path) -> None:
    """ValueError unless a file of MNIST is, bit for bit, the one that was published."""
    expected = PUBLISHED[file.name]
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise ValueError(
            f"{file}: expected the published file, sha256 {expected[:16]}..., found {found[:16]}...:"
            " fetch it anew, or take it as it is with --data.verify false"
        )


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
