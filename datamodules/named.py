"""The data sets that have a name: their shape and classes, known before any file is read, and without torch."""

from __future__ import annotations

import difflib
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lit_models.contracts import ImageShape

DIGITS = tuple(string.digits)
GREY: ImageShape = (1, 28, 28)
COLOUR: ImageShape = (3, 32, 32)
FASHION = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SYLLABLES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


@dataclass(frozen=True)
class NamedSet:
    """Args:
    pixel_variance: Over the training images, where it has been computed; see `ImageDataModule.pixel_variance`.
    first_label: The label of the first class in the files.
    """

    shape: ImageShape = GREY
    class_names: tuple[str, ...] = DIGITS
    pixel_variance: float | None = None
    first_label: int = 0


NAMED = {
    "mnist": NamedSet(pixel_variance=0.0949),
    "fashion_mnist": NamedSet(class_names=FASHION, pixel_variance=0.1246),
    "kmnist": NamedSet(class_names=SYLLABLES),
    "emnist_digits": NamedSet(),
    "emnist_letters": NamedSet(class_names=tuple(string.ascii_lowercase), first_label=1),
    # Capital and small letters of one form are one class: c, i, j, ...
    "emnist_balanced": NamedSet(class_names=(*string.digits, *string.ascii_uppercase, *"abdefghnqrt")),
    "usps": NamedSet((1, 16, 16)),
    "cifar10": NamedSet(COLOUR, CIFAR10),
    "svhn": NamedSet(COLOUR),
    "digits": NamedSet(),
    "stacked_mnist": NamedSet((3, 28, 28), tuple(f"{number:03}" for number in range(1000)), pixel_variance=0.0949),
}
NAMES = tuple(NAMED)


def unknown_name(word: str) -> ValueError:
    """What to answer to a word that is neither a name nor a path."""
    near = difflib.get_close_matches(word, NAMES, 1)
    return ValueError(
        f"expected dataset to be one of {', '.join(NAMES)}, or the path of your own images\n"
        f"got {word!r}, which is neither\n" + (f"did you mean {near[0]}?" if near else "name a folder or a file that exists")
    )
