"""Small sets of own images of several shapes, and small models that train on them."""

import tempfile
from pathlib import Path

import numpy as np

KINDS = {  # image shape, classes
    "grey 28": ((1, 28, 28), 10),
    "colour 32": ((3, 32, 32), 10),
    "grey 64": ((1, 64, 64), 4),
    "no labels": ((1, 28, 28), None),
    "colour 32, 4 classes": ((3, 32, 32), 4),
    "grey 64, no labels": ((1, 64, 64), None),
}


def file_of_kind(kind: str) -> Path:
    """A file with the images of a kind that is the same for all processes of a test session."""
    folder = Path(tempfile.gettempdir()) / "lit_generative_tests"
    folder.mkdir(exist_ok=True)
    return write_images(folder / f"{''.join(letter for letter in kind if letter.isalnum())}.npz", *KINDS[kind])


def write_images(file: Path, shape: tuple[int, int, int], classes: int | None, n: int = 1250) -> Path:
    """Write `n` images, each a bright spot on a dark ground whose place and colour tell its class, as an .npz file."""
    channels, side, _ = shape
    random = np.random.default_rng(0)
    labels = np.arange(n) % (classes or 3)
    angle = 2 * np.pi * labels / (classes or 3) + random.normal(0, 0.1, n)
    centre = side / 2 + side / 4 * np.stack([np.sin(angle), np.cos(angle)])  # (2, n)
    place = np.arange(side)
    distance = (place[None, :, None] - centre[0, :, None, None]) ** 2 + (place[None, None, :] - centre[1, :, None, None]) ** 2
    spot = np.exp(-distance / (2 * (side * random.uniform(0.06, 0.12, n)[:, None, None]) ** 2))
    colours = 0.3 + 0.7 * np.stack([(labels * (channel + 1)) % 5 for channel in range(channels)], axis=1) / 4
    images = (255 * spot[:, None] * (colours[:, :, None, None] if channels == 3 else 1)).round().astype(np.uint8)
    images = images.transpose(0, 2, 3, 1) if channels == 3 else images[:, 0]
    np.savez(file, images=images, **({} if classes is None else {"labels": labels}))
    return file
