"""Images from words: the model, its text network, its command and its measures."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from blots import Blots
from builders import digit_images, fit_batches, moved, tensors
from PIL import Image
from test_callbacks import trainer_in

from callbacks import FromWords, SeedEachStep
from callbacks.figures import from_words
from callbacks.figures.picture import grid_picture
from lit_models.ae import AE
from lit_models.command.__init__ import main
from lit_models.contracts import CanSampleText, HasGuidance, HasSteps
from lit_models.evaluation.morphology import morphology
from lit_models.evaluation.words import correlation, means_of_levels, measure_words
from lit_models.nn.text_prior import TextPrior
from lit_models.text_flow import TextFlow
from lit_models.training.captions import LEVELS, held_out


def model_of(**arguments: Any) -> TextFlow:
    torch.manual_seed(0)
    return TextFlow(channels=16, lr_steps=1, prior_steps=2, **arguments)


@torch.no_grad()
def randomise(model: TextFlow) -> None:
    """Layers that are 0 before training are not, so that words make a difference."""
    for weight in model.prior.averaged_velocity.parameters():
        weight.add_(0.1 * torch.randn_like(weight))


@pytest.mark.parametrize("classes", [10, None])
def test_a_model_learns_words_in_its_second_phase_and_draws_one_image_per_text(classes: int | None, tmp_path: Path) -> None:
    model = model_of(classes=classes)
    before = tensors(model)
    fit_batches(model, tmp_path, 3)
    changed = moved(before, model)
    for part in ("encoder.", "decoder.", "prior.velocity.embed_class.embed", "prior.velocity.image_features", "thickness_edges"):
        assert any(name.startswith(part) for name in changed), part
    assert isinstance(model, CanSampleText)
    assert isinstance(model, HasSteps)
    assert isinstance(model, HasGuidance) == (classes is not None)
    randomise(model)
    texts = ["very thin digit", "thick digit leaning right", "very thin digit"]
    images = model.eval().sample_text(texts, torch.Generator().manual_seed(0))
    assert images.shape == (3, 1, 28, 28)
    assert torch.equal(images, model.sample_text(texts, torch.Generator().manual_seed(0)))
    assert not torch.equal(images, model.sample_text(texts, torch.Generator().manual_seed(0), guidance=4.0))
    assert not torch.equal(images, model.sample_text(texts, torch.Generator().manual_seed(0), steps=2))
    with pytest.raises(ValueError, match=r"(?s)expected words that the model knows: very.*got purple"):
        model.sample_text(["purple digit"])


def test_a_label_stands_for_the_sentence_that_names_the_class() -> None:
    model = model_of().eval()
    randomise(model)
    by_label = model.sample(2, torch.tensor([3, 7]), torch.Generator().manual_seed(0))
    by_words = model.sample_text(["a three", "7"], torch.Generator().manual_seed(0))
    by_name = model.sample_text(["3", "7"], torch.Generator().manual_seed(0))
    assert torch.equal(by_label, by_name)
    assert torch.equal(by_label[1], by_words[1])
    assert not torch.equal(by_label[0], by_words[0]), "before training, three is another word than 3"


def test_a_density_is_that_of_the_told_flow_and_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    model = model_of(classes=3).eval()
    randomise(model)
    codes, labels = torch.randn(4, 16), torch.tensor([0, 1, 2, 0])
    found = model.prior.log_density(codes, labels, steps=2)
    told = model.prior.log_density(codes, model.prior.nouns[labels], steps=2)
    torch.testing.assert_close(found, told)
    assert not torch.allclose(found, model.prior.log_density(codes, steps=2))
    assert not [warning for warning in recwarn if "performance" in str(warning.message)]


def test_class_names_have_to_fit() -> None:
    with pytest.raises(ValueError, match="expected 4 class_names, one per class, got 10"):
        TextFlow(channels=16, classes=4, class_names=tuple("0123456789"))
    assert "seven" in model_of().words
    assert "3" not in model_of(classes=3).words


def test_images_of_untold_combinations_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = TextPrior(4, torch.ones(10, 5, dtype=torch.long), 10, words=9)
    torch.manual_seed(0)
    codes, tokens = torch.randn(6, 4), torch.randint(0, 10, (6, 5))
    counted = torch.tensor([True, True, True, False, True, False])
    some = prior.contrast(codes, tokens, counted)
    torch.testing.assert_close(some, prior.contrast(codes[counted], tokens[counted], torch.ones(4, dtype=torch.bool)))
    prior.zero_grad()
    codes.requires_grad_()
    prior.contrast(codes, tokens, counted).backward()
    assert codes.grad is not None
    assert torch.equal(codes.grad.abs().sum(dim=1) > 0, counted)
    assert float(prior.contrast(codes, tokens, torch.zeros(6, dtype=torch.bool))) == 0


def test_contrast_teaches_which_sentence_belongs_to_which_image() -> None:
    torch.manual_seed(0)
    prior = TextPrior(4, torch.ones(3, 5, dtype=torch.long), 3, words=9)
    codes, tokens = torch.randn(20, 4), torch.randint(1, 10, (20, 5))
    optimizer = torch.optim.Adam(prior.network.parameters(), lr=3e-3)
    counted = torch.ones(20, dtype=torch.bool)
    first = float(prior.contrast(codes, tokens, counted))
    for _ in range(60):
        optimizer.zero_grad()
        prior.contrast(codes, tokens, counted).backward()
        optimizer.step()
        prior.after_step()
    prior.averaged_velocity.module.load_state_dict(prior.velocity.state_dict())
    assert float(prior.contrast(codes, tokens, counted)) < 0.1 * first
    assert prior.retrieved(codes, tokens).all()
    assert not prior.retrieved(codes.flip(0), tokens).all()


class Scribe(AE):
    """Knows how to draw what is asked for: strokes of the thickness and slant of the words. `deaf` draws anything."""

    words = ("thin",)

    def __init__(self, deaf: bool = False) -> None:
        super().__init__(channels=16)
        self.deaf = deaf

    def sample_text(self, texts: list[str], generator: Any = None, **options: Any) -> torch.Tensor:
        numbers = [(self.thickness(text), self.slant(text)) for text in texts]
        if self.deaf:
            numbers = [numbers[row] for row in torch.randperm(len(numbers), generator=torch.Generator().manual_seed(0)).tolist()]
        return torch.stack([stroke(2 + level, 0.1 * lean) for level, lean in numbers])

    @staticmethod
    def thickness(text: str) -> int:
        level = 2 if "medium" in text else 1 if "thin" in text else 3
        return level + (("very" in text) * (1 if level == 3 else -1))

    @staticmethod
    def slant(text: str) -> int:
        lean = 0 if "upright" in text else -1 if "left" in text else 1
        return lean * (2 if "far" in text else 1)


def stroke(width: float, lean: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    image = (width / 2 + 0.5 - (x - 13.5 + lean * (y - 13.5)).abs()).clamp(0, 1)
    return torch.where((y - 13.5).abs() < 9, image, 0.0)[None]


def test_measures_of_words_are_high_for_who_obeys_and_low_for_who_is_deaf() -> None:
    real = torch.stack([stroke(2 + thick, 0.1 * lean) for thick, lean in product(range(5), range(-2, 3))])
    good = measure_words(Scribe(), ("0", "1"), real, n=200)
    assert set(good) == {f"words_{name}{told}" for name in ("thickness", "slant") for told in ("", "_untold")}
    assert min(good.values()) > 0.95
    bad = measure_words(Scribe(deaf=True), ("0", "1"), real, n=200)
    assert max(abs(value) for value in bad.values()) < 0.4
    assert measure_words(AE(channels=16), ("0", "1"), real) == {}
    assert measure_words(Scribe(), (), real) == {}


def test_correlation_and_means_of_levels_are_those_of_their_definitions() -> None:
    values = torch.arange(10.0)
    assert correlation(values, -2 * values + 1) == pytest.approx(-1)
    assert means_of_levels(values.flip(0), 5).tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]


def test_what_an_image_shows_are_equal_parts_of_the_training_images(tmp_path: Path) -> None:
    model = model_of()
    fit_batches(model, tmp_path, 3)
    images = digit_images(256)
    shown = model.shown(images, torch.arange(256) % 10)
    assert shown.shape == (256, 4)
    assert torch.equal(shown[:, 0], torch.arange(256) % 10)
    for column, levels in enumerate(LEVELS, 1):
        shares = shown[:, column].bincount(minlength=levels) / 256
        assert shares.min() > 0.5 / levels
        order = morphology(images)[:, column - 1].argsort()
        assert (shown[order, column].diff() >= 0).all()
    assert 0 < float(held_out(shown).double().mean()) < 0.25


@pytest.mark.parametrize("classes", [3, None])
def test_the_figure_shows_one_row_per_text_from_the_same_noise(
    classes: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple] = []
    monkeypatch.setattr(from_words, "grid_picture", lambda *arguments: asked.append(arguments) or grid_picture(*arguments))
    data = Blots((1, 14, 14), classes)
    model = model_of(image_shape=(1, 14, 14), classes=classes, class_names=data.class_names)
    trainer_in(tmp_path, SeedEachStep(), FromWords(("thin", "thick"), n=4), epochs=1).fit(model, datamodule=data)
    ((images, columns, _, rows),) = asked
    assert (len(images), columns, rows) == (8, 4, ["thin", "thick"])
    assert FromWords().what_is_missing(trainer_in(tmp_path), AE(channels=16)) == "AE lacks sample_text, words"


def test_the_command_draws_what_words_ask_for_and_says_which_words_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = model_of()
    fit_batches(model, tmp_path, 3)
    model.trainer.save_checkpoint(tmp_path / "words.ckpt")
    assert main(["sample", "words.ckpt", "--text", "a very thin seven leaning left", "--num", "5", "--guidance", "2"]) == 0
    assert '5 samples of TextFlow, "a very thin seven leaning left", guidance 2' in capsys.readouterr().out
    assert Image.open("samples.png").size[0] > 5 * 28
    for words, said in (
        (["--text", "a purple seven"], "expected words that the model knows: very"),
        (["--text", "seven", "--label", "7"], "--text expected no --label"),
        (["--text", "seven", "--noise", "1"], "--text expected no --noise"),
    ):
        assert main(["sample", "words.ckpt", *words]) != 0
        assert said in capsys.readouterr().err
