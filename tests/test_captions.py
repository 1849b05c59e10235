"""Sentences about images, and the words that they are made of."""

import re
from itertools import product

import pytest
import torch

from lit_models.training.captions import ENGLISH, LENGTH, LEVELS, Captions, held_out

DIGITS = tuple("0123456789")
EVERY = torch.tensor(list(product(range(10), *(range(levels) for levels in LEVELS))))


def test_a_whole_sentence_says_all_of_what_an_image_shows() -> None:
    captions = Captions(DIGITS)
    assert captions.whole(torch.tensor([[7, 0, 1, 0]])) == ["a very thin narrow 7 leaning left"]
    assert captions.whole(torch.tensor([[3, 2, 2, 1]])) == ["a medium 3 upright"]
    sentences = captions.whole(EVERY)
    assert len(set(sentences)) == len(EVERY), "two different images have different sentences"


def test_random_sentences_say_nothing_wrong_and_use_every_word() -> None:
    captions = Captions(DIGITS)
    torch.manual_seed(0)
    shown = EVERY.repeat(20, 1)
    sentences = captions.random(shown)
    assert set(captions.words) <= {word for sentence in sentences for word in sentence.split()}
    forbidden = {0: r"\b(thick|bold|heavy|medium)\b", 4: r"\b(thin|fine|slender|medium)\b"}
    for row, sentence in zip(shown.tolist(), sentences, strict=True):
        others = {word for label in range(10) if label != row[0] for word in (DIGITS[label], ENGLISH[label])}
        assert not others & set(sentence.split())
        assert not re.search(forbidden.get(row[1], "never"), sentence)
        assert ("left" in sentence) <= (row[2] < 2)
        assert ("right" in sentence.replace("upright", "").replace("straight", "")) <= (row[2] > 2)
    lengths = {len(sentence.split()) for sentence in sentences}
    assert min(lengths) <= 2, "some say hardly anything"
    assert 7 <= max(lengths) <= LENGTH


def test_tokens_are_the_words_in_their_order_without_fillers_and_capitals() -> None:
    captions = Captions(DIGITS)
    one, two, other = captions.tokens(["A very thin seven, leaning left.", "very thin seven leaning left", "thin very seven leaning left"])
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one[:2].tolist() == [captions.numbers["very"], captions.numbers["thin"]]
    assert one[5:].tolist() == [0] * (LENGTH - 5)
    assert captions.tokens([]).shape == (0, LENGTH)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("a purple seven", r"(?s)expected words that the model knows: very, .*seven.*got purple in 'a purple seven'"),
        ("", f"expected 1 to {LENGTH} words that say something, got 0"),
        ("a the", f"expected 1 to {LENGTH} words that say something, got 0"),
        ("very " * (LENGTH + 1), f"expected 1 to {LENGTH} words that say something, got {LENGTH + 1}"),
    ],
)
def test_a_sentence_that_cannot_be_read_is_refused(sentence: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Captions(DIGITS).tokens(["thin", sentence])


def test_names_of_several_words_and_no_names_at_all() -> None:
    captions = Captions(("T-shirt/top", "ankle boot"))
    shown = torch.tensor([[0, 4, 3, 2], [1, 2, 2, 1]])
    assert captions.whole(shown) == ["a very thick wide t shirt top leaning right", "a medium ankle boot upright"]
    assert captions.tokens(["thin ankle boot"]).count_nonzero() == 3
    assert Captions(()).whole(torch.tensor([[0, 1, 2, 1]])) == ["a thin digit upright"]
    assert "seven" not in Captions(("0", "1")).words


def test_a_tenth_of_all_combinations_is_held_out_in_every_class() -> None:
    told = ~held_out(EVERY)
    assert float(told.double().mean()) == pytest.approx(0.9, abs=0.01)
    for label in range(10):
        assert 0.8 <= float(told[EVERY[:, 0] == label].double().mean()) < 1
    for column in (1, 2):
        for level in range(5):
            assert told[EVERY[:, column] == level].any()
