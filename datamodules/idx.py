"""Reads IDX files, the format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist/), packed by gzip or not.

torchvision only looks whether the files exist; a truncated download would fail deep inside a reshape.
"""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import torch

PUBLISHED = {  # sha256 of MNIST's four files, unpacked
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
IMAGES, LABELS = 0x803, 0x801  # what a file of images (N, H, W) and a file of labels (N,) begin with


def read_split(
    images_file: Path, labels_file: Path, shape: tuple[int, int] = (28, 28), classes: int = 10, first_label: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, H, W) and labels (N,) from 0 on, uint8 both.

    Args:
        first_label: The label of the first class in the file.
    Raises:
        ValueError: If a file is truncated, too long, of another kind or shape, if the two disagree, or if there are labels of other
        classes.
    """
    images = read(images_file, IMAGES, shape)
    labels = read(labels_file, LABELS)
    if len(images) != len(labels):
        raise ValueError(f"{labels_file}: expected {len(images)} labels, one for each image of {images_file.name}, found {len(labels)}")
    last_label = first_label + classes - 1
    if labels.min() < first_label or labels.max() > last_label:
        raise ValueError(
            f"{labels_file}: expected the labels {first_label} to {last_label} of {classes} classes, found labels {int(labels.min())} to"
            f" {int(labels.max())}: this is a whole file of another data set; name its folder as the data set to take it as it is"
        )
    return images, labels - first_label


def check_published(file: Path) -> None:
    """ValueError unless a file of MNIST is, bit for bit, the one that was published."""
    expected, digest = PUBLISHED[file.name.removesuffix(".gz")], hashlib.sha256()
    for part in parts_of(file):
        digest.update(part)
    if digest.hexdigest() != expected:
        raise ValueError(
            f"{file}: expected the published file, sha256 {expected[:16]}..., found {digest.hexdigest()[:16]}...:"
            " fetch it anew, or take it as it is with --data.verify false"
        )


def parts_of(file: Path) -> Iterator[bytes]:
    """The content of a file in parts of a megabyte, unpacked if its name ends in .gz."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            while part := stream.read(2**20):
                yield part
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{file}: expected a file packed by gzip, found another: {error}: truncated or damaged, fetch it anew") from error


def read(file: Path, magic: int, shape: tuple[int, ...] = ()) -> torch.Tensor:
    """Items (N, *shape) of a file whose header and length agree. No more is read than the header promises."""
    header, parts = 8 + 4 * len(shape), parts_of(file)
    content = bytearray(next(parts, b""))
    if len(content) < header:
        raise ValueError(f"{file}: expected an IDX header of {header} bytes, found {len(content)} bytes: fetch it anew")
    found_magic, count, *found_shape = struct.unpack(f">{header // 4}I", content[:header])
    if found_magic != magic:
        raise ValueError(f"{file}: expected an IDX file of kind {magic:#06x}, found {found_magic:#06x}: fetch it anew")
    if tuple(found_shape) != shape:
        raise ValueError(f"{file}: expected items of shape {shape}, found {tuple(found_shape)}")
    expected = header + count * math.prod(shape)
    for part in parts:
        content += part
        if len(content) > expected:
            break
    if count == 0 or len(content) != expected:
        raise ValueError(f"{file}: expected {expected} bytes for {count} items, found {len(content)}: truncated or damaged, fetch it anew")
    return torch.frombuffer(content, dtype=torch.uint8, offset=header).view(count, *shape)
