"""Sentences about images: written at random from what an image shows, and read as tokens.

What an image shows is four whole numbers: its class, and the levels of thickness (0 to 4), slant (0 to 4) and width (0 to 2). A sentence
names some of them, in words that mean the same and in any order: "a very thin 7 leaning left", "wide seven", "upright digit".
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

LENGTH = 14  # words at most
LEVELS = (5, 5, 3)  # of thickness, slant and width
ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NO_CLASS = ("digit", "number", "image")
THIN, THICK, NARROW, WIDE = ("thin", "fine", "slender"), ("thick", "bold", "heavy"), ("narrow", "slim"), ("wide", "broad")
LEANING, UPRIGHT = ("leaning", "slanted", "tilted"), ("upright", "straight")
FILLERS = ("a", "an", "the", "and", "of", "with")  # read and passed over
WORDS = ("very", "medium", "far", "left", "right", *THIN, *THICK, *NARROW, *WIDE, *LEANING, *UPRIGHT, *NO_CLASS)
NAMED = 0.9  # share of the sentences that name the class
KEPT = 0.6  # share of the sentences that name an attribute, for each


class Captions:
    """The words that are known about images of these classes.

    Args:
        class_names: A numeral also has its English word. Empty for images without classes.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.nouns = [self._nouns_of(name) for name in class_names]
        words = [*WORDS, *(word for nouns in self.nouns for noun in nouns for word in noun.split())]
        self.words: tuple[str, ...] = tuple(dict.fromkeys(words))
        self.numbers = {word: number for number, word in enumerate(self.words, 1)}  # 0 is no word

    @staticmethod
    def _nouns_of(name: str) -> list[str]:
        plain = " ".join(_words_in(name)) or name
        return [plain, ENGLISH[int(plain)]] if plain.isdigit() and int(plain) < len(ENGLISH) else [plain]

    def tokens(self, sentences: Sequence[str]) -> Tensor:
        """The words of sentences as numbers, (B, LENGTH), 0 after the last.

        Raises:
            ValueError: If a word is not known, or if a sentence has more than `LENGTH` words or none.
        """
        rows = []
        for sentence in sentences:
            words = [word for word in _words_in(sentence) if word not in FILLERS]
            unknown = [word for word in words if word not in self.numbers]
            if unknown:
                raise ValueError(f"expected words that the model knows: {', '.join(self.words)}\ngot {', '.join(unknown)} in {sentence!r}")
            if not 0 < len(words) <= LENGTH:
                raise ValueError(f"expected 1 to {LENGTH} words that say something, got {len(words)} in {sentence!r}")
            rows.append([self.numbers[word] for word in words] + [0] * (LENGTH - len(words)))
        return torch.tensor(rows, dtype=torch.long).view(-1, LENGTH)

    def whole(self, shown: Tensor) -> list[str]:
        """One sentence per image that says all, in the first words, from what the images show, (B, 4)."""
        return [self._sentence(row, [0.0] * 12) for row in shown.tolist()]

    def random(self, shown: Tensor) -> list[str]:
        """One sentence per image, from what the images show, (B, 4): partial, with other words, in any order.

        The choices come from torch's default generator.
        """
        chances = torch.rand(len(shown), 12).tolist()
        return [self._sentence(row, chance) for row, chance in zip(shown.tolist(), chances, strict=True)]

    def _sentence(self, shown: Sequence[int], chances: Sequence[float]) -> str:
        """Chances of 0 name everything, by the first words."""
        label, thickness, slant, width = shown
        named, with_thickness, with_slant, with_width, which, synonym, second, third, before, side, side_of_slant, article = chances
        noun = _one_of(self.nouns[label], synonym) if self.nouns and named < NAMED else _one_of(NO_CLASS, synonym)
        said = []  # (goes before the noun, words)
        if with_thickness < KEPT:
            said.append((before < 0.8, thickness_in_words(thickness, which)))
        if with_width < KEPT and width != 1:
            said.append((side < 0.8, _one_of(NARROW if width == 0 else WIDE, second)))
        if second > 0.5:
            said.reverse()
        if with_slant < KEPT:
            said.append((side_of_slant > 0.8, slant_in_words(slant, third)))
        first, last = ([words for goes_before, words in said if goes_before is place] for place in (True, False))
        return " ".join([*(["a"] if article < 0.5 else []), *first, noun, *last])


def thickness_in_words(level: int, chance: float = 0.0) -> str:
    if level == 2:
        return "medium"
    return ("very " if level in (0, 4) else "") + _one_of(THIN if level < 2 else THICK, chance)


def slant_in_words(level: int, chance: float = 0.0) -> str:
    if level == 2:
        return _one_of(UPRIGHT, chance)
    return f"{_one_of(LEANING, chance)} {'far ' if level in (0, 4) else ''}{'left' if level < 2 else 'right'}"


def _one_of(words: Sequence[str], chance: float) -> str:
    return words[int(chance * len(words))]


def _words_in(sentence: str) -> list[str]:
    return re.findall(r"[^\W_]+", sentence.lower())


def held_out(shown: Tensor) -> Tensor:
    """The tenth of the combinations of class, thickness and slant that no sentence of the training is about: (B, 4) to booleans (B,)."""
    label, thickness, slant = shown[:, :3].T
    return (7 * label + 5 * thickness + slant) % 10 == 0
