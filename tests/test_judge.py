"""The judge accepts real digits and rejects corrupted ones. Each corruption gives valid images that differ from the originals."""

import os
from pathlib import Path

import pytest
import torch
from conftest import mnist_root, needs_mnist
from torch.nn.functional import avg_pool2d

from datamodules import ImageDataModule
from lit_models.evaluation.classifier import Classifier, blend
from lit_models.evaluation.corruptions import HELD_OUT, KINDS, TRAINED, spoil
from lit_models.evaluation.features import spaces_of
from lit_models.evaluation.judge import SHIPPED, Judge, controls, judge_of, known_images, load_judge, make_judge, save_judge


@pytest.fixture(scope="module")
def test_images() -> tuple[torch.Tensor, torch.Tensor]:
    data = ImageDataModule("mnist", root=str(mnist_root()))
    data.setup()
    return data.images("test")


@pytest.fixture(scope="module")
def shipped() -> Judge:
    found = judge_of("mnist", ImageDataModule("mnist", root=str(mnist_root())).whole())
    assert found is not None
    return found[0]


@needs_mnist
def test_the_shipped_judge_accepts_digits_and_rejects_corrupted_images(
    shipped: Judge, test_images: tuple[torch.Tensor, torch.Tensor]
) -> None:
    images, labels = test_images
    assert float((shipped.assess(images).classes == labels).double().mean()) >= 0.994
    valid = controls(shipped, images, labels)
    assert valid.pop("real images") >= 0.92
    assert len(valid) == len(KINDS)
    assert max(valid.values()) <= 0.10, valid
    assert max(valid[name] for name in ("averages of two digits", "black for white", "smeared")) <= 0.02
    assert valid["uniform noise"] == valid["shuffled pixels"] == 0


@needs_mnist
def test_the_judge_recognises_a_blurred_digit_but_not_a_blend(shipped: Judge, test_images: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = test_images
    classes = torch.arange(10)
    means = torch.stack([images[labels == digit].mean(dim=0) for digit in classes])
    seen = shipped.assess(means)
    assert seen.classes.tolist() == classes.tolist()
    assert seen.recognisable.all()
    blends = (means[:, None] + means).flatten(0, 1)[(classes[:, None] != classes).flatten()] / 2
    assert float(shipped.assess(blends).recognisable.double().mean()) <= 0.10
    blurred = avg_pool2d(images[:2000], 3, stride=1, padding=1)
    assert float(shipped.assess(blurred).recognisable.double().mean()) >= 0.90


@needs_mnist
@pytest.mark.parametrize(
    "open_rules", [[0, 1], [2, 3], [0, 2], [1, 3]], ids=["no reject class", "no neighbourhood", "second alone", "first alone"]
)
def test_every_rule_of_the_judge_is_needed(open_rules: list[int], shipped: Judge, test_images: tuple[torch.Tensor, torch.Tensor]) -> None:
    """With two of the four thresholds switched off, the judge accepts at least 1.1 times as many unions and halves of digits."""
    images, labels = (part[:2000] for part in test_images)
    loose = Judge(*shipped.classifiers, images[:10], shipped.limits.clone())
    loose.known = shipped.known
    loose.limits[open_rules] = torch.inf
    names = ("unions of two digits", "top on another's bottom", "left beside another's right")
    spoilt = torch.cat([KINDS[name](images, labels, torch.Generator().manual_seed(0)) for name in names])
    tight, opened = (float(judge.assess(spoilt).recognisable.double().mean()) for judge in (shipped, loose))
    assert opened >= 1.1 * tight


def test_the_shipped_judge_is_a_small_file_of_plain_tensors() -> None:
    saved = torch.load(SHIPPED / "mnist.pt", weights_only=True)
    assert os.path.getsize(SHIPPED / "mnist.pt") < 1_000_000
    assert "lr_steps" in saved["recipe"]
    assert saved["dataset"] == "mnist"


def test_a_blend_mixes_images_of_one_class_only() -> None:
    """Images of class d have brightness d / 9, so an image of another class in the blend would change the brightness."""
    labels = torch.arange(64) % 10
    images = (labels / 9).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    torch.testing.assert_close(blend(images, labels), images, rtol=0, atol=1e-5)


def test_at_least_two_kinds_of_corruption_are_held_out_of_training() -> None:
    assert len(HELD_OUT) >= 2
    assert not HELD_OUT.keys() & TRAINED.keys()
    assert not set(HELD_OUT.values()) & set(TRAINED.values())


@pytest.mark.parametrize("name", KINDS)
def test_a_corrupted_image_is_a_valid_image_and_differs_from_all_originals(name: str) -> None:
    data = ImageDataModule("digits", limit=200)
    data.setup()
    images, labels = data.images("train")
    found = KINDS[name](images, labels, torch.Generator().manual_seed(0))
    assert found.shape[1:] == (1, 28, 28)
    assert 0 < len(found) <= len(images)
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.cdist(found.flatten(1), images.flatten(1)).min() > 0
    torch.testing.assert_close(found, KINDS[name](images, labels, torch.Generator().manual_seed(0)), rtol=0, atol=0)


def test_mirroring_skips_digits_whose_mirror_image_may_be_a_digit() -> None:
    images = torch.rand(10, 1, 28, 28)
    assert len(KINDS["mirrored 2, 3, 4, 5, 7"](images, torch.arange(10), torch.Generator())) == 5


def test_the_kinds_of_corruption_share_the_images() -> None:
    images, labels = torch.rand(240, 1, 28, 28), torch.arange(240) % 10
    found = spoil(images, labels, torch.Generator().manual_seed(0))
    assert 0.7 * len(images) < len(found) <= len(images)


@pytest.fixture
def small_judge() -> tuple[Judge, ImageDataModule]:
    torch.manual_seed(0)
    data = ImageDataModule("digits")
    data.setup()
    return make_judge(Classifier(channels=16, width=16), Classifier("pooled", channels=4, width=16), data), data


def test_a_judge_is_the_same_after_saving_and_loading(small_judge: tuple[Judge, ImageDataModule], tmp_path: Path) -> None:
    judge, data = small_judge
    for parameter in judge.parameters():
        parameter.copy_(parameter.half())  # the precision in which a judge is saved
    judge = make_judge(*judge.classifiers, data)
    save_judge(judge, "digits", "untrained", tmp_path / "judge.pt")
    found = load_judge(tmp_path / "judge.pt", "digits", known_images(data))
    for one, other in zip(judge.assess(data.images("test")[0]), found[0].assess(data.images("test")[0]), strict=True):
        torch.testing.assert_close(one, other)
    assert found[1] == "untrained"
    assert len(found[0].sha256) == 64


def test_thresholds_accept_the_requested_share_of_images(small_judge: tuple[Judge, ImageDataModule]) -> None:
    judge, data = small_judge
    images = data.images("train")[0]
    judge.limits = torch.full((4,), torch.inf)
    most = float(judge.assess(images).recognisable.double().mean())
    judge.fit_limits(images, share=0.8 * most)
    assert float(judge.assess(images).recognisable.double().mean()) == pytest.approx(0.8 * most, abs=0.02)


def test_a_judge_of_another_data_set_is_refused_and_a_missing_one_is_none(
    small_judge: tuple[Judge, ImageDataModule], tmp_path: Path
) -> None:
    save_judge(small_judge[0], "kmnist", "untrained", tmp_path / "judge.pt")
    with pytest.raises(ValueError, match="expected a judge of digits, got one of kmnist"):
        load_judge(tmp_path / "judge.pt", "digits", known_images(small_judge[1]))
    assert judge_of("digits", small_judge[1]) is None


def test_lightning_judge_makes_a_judge_of_two_runs_and_spaces_of_two_others(fit, lightning, tmp_path: Path, capsys) -> None:
    small, clean = ["--trainer.max_epochs=1"], ["--model.init_args.spoil=false"]
    pooled = ["--model.init_args.layers=pooled", "--model.init_args.channels=4", "--seed_everything=1"]
    for words in ([], pooled, clean, [*clean, "--model.init_args.layers=dense"]):
        fit("classifier", *words, *small)
    run = tmp_path / "logs" / "classifier" / "digits"
    runs = [run / f"version_{number}" for number in range(4)]
    assert lightning("judge", "--make", *runs[:2], "--data", "digits", "--output", "judge.pt") == 0
    assert lightning("judge", "--make", *runs[2:], "--data", "digits", "--output", "spaces.pt") == 0
    said = capsys.readouterr().out
    assert said.count("right on validation images") == 4
    data = ImageDataModule("digits").whole()
    judge, _ = load_judge(tmp_path / "judge.pt", "digits", known_images(data))
    assert len(judge.assess(data.images("val")[0]).classes) == len(data.images("val")[0])
    spaces = spaces_of("digits", data.images("train")[0], tmp_path / "spaces.pt")
    assert list(spaces.widths) == ["first", "second", "untrained"]
    assert lightning("judge", "--make", runs[0], runs[2], "--data", "digits") == 2
    assert "expected two classifiers of one kind" in capsys.readouterr().err


def test_spaces_of_classifiers_that_have_seen_the_held_out_images_are_refused(fit, lightning, tmp_path: Path, capsys) -> None:
    fit("classifier", "--model.init_args.spoil=false", "--trainer.max_epochs=1", "--data.init_args.limit=null")
    run = tmp_path / "logs" / "classifier" / "digits" / "version_0"
    assert lightning("judge", "--make", run, run, "--data", "digits") == 2
    said = capsys.readouterr().err
    assert "expected a classifier that has not seen the last" in said
    assert "train it with --data.limit" in said
