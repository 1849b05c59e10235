"""A yardstick of other data than MNIST: any shape and number of classes, or no labels; made by one command, found by all."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from any_images import write_images
from torch import Tensor

from datamodules import ImageDataModule
from datamodules.own import name_of
from lit_models.evaluation import Yardstick, sharpness
from lit_models.evaluation.asked_kinds import PASSING, left_out, passing
from lit_models.evaluation.classification_score import classification_score
from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.corruptions import FOR_DIGITS, KINDS, TRAINED, spoil, without
from lit_models.evaluation.distortions import DISTORTIONS, LABELLED
from lit_models.evaluation.features import RandomConvolutions, spaces_of
from lit_models.evaluation.judge import controls, known_images, load_judge, make_judge, save_judge
from lit_models.evaluation.yardstick import floor_of_kid
from lit_models.evaluation.yardstick_files import ENVIRONMENT, find, folder_to_write

SHAPES = [((1, 28, 28), 10), ((3, 32, 32), 4), ((1, 64, 64), None)]
IDS = ["grey 28, ten classes", "colour 32, four classes", "grey 64, no labels"]
Made = tuple[ImageDataModule, tuple[int, int, int], int | None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a classification score of few steps."""
    monkeypatch.setattr(sys.modules["lit_models.evaluation.classification_score"], "STEPS", 100)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module", params=SHAPES, ids=IDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    shape, classes = request.param
    file = write_images(tmp_path_factory.mktemp("data") / "spots.npz", shape, classes, 900)
    return ImageDataModule(str(file)).whole(), shape, classes


@pytest.mark.parametrize("name", KINDS)
def test_corrupted_images_of_any_shape_are_valid_and_differ_from_the_originals(name: str, made: Made) -> None:
    data, shape, _ = made
    images, labels = data.images("train")
    images, labels = images[:60], torch.arange(60) % 7 if labels is None else labels[:60]
    found = KINDS[name](images, labels, torch.Generator().manual_seed(0))
    assert found.shape[1:] == shape
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert 0 < len(found) <= len(images)
    nearest = torch.cdist(found.flatten(1), images.flatten(1)).amin(dim=1)
    assert float((nearest > 0).float().mean()) > 0.9, "a small spot may lie within another, whose union is no other image"


def test_lengths_scale_with_the_side() -> None:
    """A window of 3 at a side of 28 is one of 7 at 84; the control is that it is not one of 3 there."""
    small, large = torch.zeros(1, 1, 28, 28), torch.zeros(1, 1, 84, 84)
    small[..., 14, 14] = large[..., 42, 42] = 1
    blurred = DISTORTIONS["blurred, window of n x n"].apply
    widths = [int((blurred(each, torch.zeros(1), 3, torch.Generator())[0, 0] > 0).any(dim=0).sum()) for each in (small, large)]
    assert widths == [3, 7]


def test_a_yardstick_of_any_images_measures_them(made: Made) -> None:
    data, shape, classes = made
    yardstick = Yardstick(data, None, spaces_of("spots", data.images("train")[0], data=data), 200, "test")
    assert (yardstick.classes, yardstick.real.shape[1:]) == (classes, shape)
    n = min(yardstick.n, len(yardstick.held_out))
    real = yardstick.floor(n)
    pale, blurred = (
        yardstick.distances(yardstick.distorted(name, most, n)) for name, most in (("paler", 0.4), ("blurred, window of n x n", 7))
    )
    assert pale["kid_untrained"] > floor_of_kid(real, "untrained")
    assert blurred["kid_untrained"] > floor_of_kid(real, "untrained")
    assert blurred["sharpness"] < 0.9 * real["sharpness"]
    assert ("cas" in real) == (classes is not None)
    assert {"control", "spread", "recognisable"}.isdisjoint(real), "there is no judge"
    assert set(yardstick.distortions) == set(DISTORTIONS) - (set() if classes else set(LABELLED))
    assert list(yardstick.spaces.widths) == ["untrained"]


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageDataModule, Classifier]:
    """Coloured spots of four classes, and a classifier that has learnt them."""
    file = write_images(tmp_path_factory.mktemp("colour") / "spots.npz", (3, 32, 32), 4, 900)
    data = ImageDataModule(str(file)).whole()
    images, labels = data.images("train")
    torch.manual_seed(0)
    classifier = Classifier("pooled", channels=8, width=32, spoil=False, dropout=0, image_shape=(3, 32, 32), classes=4)
    optimizer = torch.optim.Adam(classifier.parameters(), 3e-3)
    for rows in torch.cat([torch.randperm(len(images)) for _ in range(6)]).split(64):
        loss = torch.nn.functional.cross_entropy(classifier.classify(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return data, classifier.eval()


@pytest.mark.parametrize("layers", ["residual", "pooled", "dense"])
@pytest.mark.parametrize(("shape", "classes"), [((1, 28, 28), 10), ((3, 32, 32), 4), ((1, 64, 64), 26), ((1, 14, 14), 2)])
def test_a_classifier_has_one_class_more_than_the_data(layers: str, shape: tuple[int, int, int], classes: int) -> None:
    model = Classifier(layers, channels=16, width=16, image_shape=shape, classes=classes)  # type: ignore[arg-type]
    images, labels = torch.rand(24, *shape), torch.arange(24) % classes
    assert model.classify(images).shape == (24, classes)
    both, told = model._spoilt(images, labels)
    assert both.shape[1:] == shape
    assert model.head(model.features(both)).shape == (len(told), classes + 1)
    assert int(told.max()) == classes, "what shows none of the classes"
    with pytest.raises(ValueError, match="Classifier expected labelled images"):
        Classifier(image_shape=shape, classes=None)


def test_a_judge_of_other_classes_and_colours_is_saved_with_what_is_left_out(
    colour: tuple[ImageDataModule, Classifier], tmp_path: Path
) -> None:
    data, _ = colour
    arguments = dict(image_shape=(3, 32, 32), classes=4, left_out=[FOR_DIGITS, "bent"])
    first, second = Classifier(channels=16, width=16, **arguments), Classifier("pooled", channels=4, width=16, **arguments)
    judge = make_judge(first, second, data, {FOR_DIGITS: "no digits", "bent": "no matter"})
    save_judge(judge, data.dataset, "untrained", tmp_path / "judge.pt", data.images_sha256)
    found, _ = load_judge(tmp_path / "judge.pt", data.dataset, known_images(data))
    images, labels = data.images("val")
    assert int(found.assess(images).classes.max()) < 4
    assert found.left_out == {FOR_DIGITS: "no digits", "bent": "no matter"}
    shares = controls(found, images, labels)
    assert "mirrored" in shares
    assert {FOR_DIGITS, "bent"}.isdisjoint(shares)


def test_a_kind_that_is_left_out_is_not_learnt_and_none_is_left_out_by_default() -> None:
    assert without((), TRAINED) == TRAINED
    assert "bent" not in without(["bent"], TRAINED)
    images, labels = torch.rand(120, 1, 28, 28), torch.arange(120) % 10
    plain = spoil(images, labels, torch.Generator().manual_seed(0))
    torch.testing.assert_close(spoil(images, labels, torch.Generator().manual_seed(0), without((), TRAINED)), plain, rtol=0, atol=0)
    turned = without([FOR_DIGITS], TRAINED)["mirrored"](images, labels, None)
    torch.testing.assert_close(turned.flip(3), images, rtol=0, atol=0)


def test_a_corruption_that_leaves_the_class_as_it_is_passes_for_real_and_noise_does_not(colour: tuple[ImageDataModule, Classifier]) -> None:
    """Spots of four colours: brightened by a hundredth they are what they were. Noise, negatives and faint images are not."""
    data, classifier = colour
    (images, labels), known = data.images("val"), known_images(data)

    def brightened(images: Tensor, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        return (1.01 * images).clamp(0, 1)

    found = passing(classifier, known, images, labels, KINDS | {"brightened": brightened})
    assert found["brightened"] > 0.9 > PASSING
    assert max(found[name] for name in ("uniform noise", "black for white", "faint", "shuffled pixels")) < 0.2
    reasons, measured = left_out(classifier, known, images, labels, digits=False)
    assert "no digits" in reasons[FOR_DIGITS]
    assert FOR_DIGITS not in measured
    assert set(reasons) - {FOR_DIGITS} == {name for name, value in measured.items() if value >= PASSING}


def test_the_classification_score_takes_any_number_of_classes(colour: tuple[ImageDataModule, Classifier]) -> None:
    data, _ = colour
    (images, labels), (real, real_labels) = data.images("train"), data.images("val")
    assert labels is not None
    assert real_labels is not None
    few, found = slice(0, 300), slice(0, 60)
    assert classification_score(images[few], labels[few], real[found], real_labels[found], 4) > 0.9
    assert classification_score(images[few], labels[few].roll(1), real[found], real_labels[found], 4) < 0.6


def test_sharpness_of_a_coloured_image_is_that_of_its_luminance() -> None:
    torch.manual_seed(0)
    grey = torch.rand(3, 1, 32, 32)
    torch.testing.assert_close(sharpness(grey.expand(-1, 3, -1, -1)), sharpness(grey), rtol=1e-4, atol=1e-6)
    blue, green = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    blue[:, 2, :, 16:] = green[:, 1, :, 16:] = 1
    assert float(sharpness(green)) > 3 * float(sharpness(blue)), "an edge in green is seen better than one in blue"


def test_random_convolutions_of_one_colour_are_todays_and_see_colour_with_three() -> None:
    assert torch.equal(RandomConvolutions().fine, RandomConvolutions(colours=1).fine)
    images = torch.rand(4, 3, 32, 32)
    network = RandomConvolutions(colours=3)
    assert network(images).shape == (4, 128)
    assert not torch.allclose(network(images), network(images[:, [2, 1, 0]])), "red is not blue"


def test_networks_are_found_beside_the_data_and_refused_for_other_images_of_the_same_name(
    colour: tuple[ImageDataModule, Classifier], tmp_path: Path, cache: Path
) -> None:
    data, _ = colour
    arguments = dict(image_shape=(3, 32, 32), classes=4)
    judge = make_judge(Classifier(channels=16, width=16, **arguments), Classifier("pooled", channels=4, width=16, **arguments), data)
    assert find("judge", data.dataset, data) is None
    folder = folder_to_write(data.dataset, data)
    assert folder == Path(data.dataset).parent / "yardsticks" / name_of(data.dataset)
    save_judge(judge, data.dataset, "untrained", folder / "judge.pt", data.images_sha256)
    found = find("judge", data.dataset, data)
    assert found is not None
    assert found.file == folder / "judge.pt"
    other = SimpleNamespace(image_shape=(3, 32, 32), images_sha256="0" * 64, root=tmp_path)
    with pytest.raises(ValueError, match="was made for") as refused:
        find("judge", data.dataset, other)
    assert len(str(refused.value).splitlines()) == 3
    grey = SimpleNamespace(image_shape=(1, 28, 28), images_sha256="0" * 64, root=tmp_path)
    assert find("judge", data.dataset, grey) is None, "of another shape"
    assert folder_to_write("digits", SimpleNamespace(root=tmp_path / "none")) == cache / "yardsticks" / "digits"


def test_one_command_makes_the_yardstick_of_a_data_set_and_the_others_find_it(lightning, tmp_path: Path, capsys) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "short.yaml").write_text("trainer: {max_epochs: 1}\ndata: {init_args: {limit: 300, batch_size: 50, epoch_images: null}}\n")
    words = ["judge", "--data", "digits", "--root", "data", "--num", "100"]
    assert lightning(*words, "--config", "short.yaml", "--config", "cpu") == 0
    said = capsys.readouterr().out
    folder = tmp_path / "data" / "yardsticks" / "digits"
    assert said.count("training classifier") == 4
    assert "Gaussian with real covariance" in said
    assert "kernel distance in floors" in said
    assert [file.name for file in sorted(folder.iterdir())] == ["judge.pt", "spaces.pt"], "runs are removed"
    spaces = torch.load(folder / "spaces.pt", weights_only=True)
    assert spaces["trained_on"] == 300
    assert "lightning fit --config classifier --config clean" in spaces["recipe"]
    data = ImageDataModule("digits", root=str(tmp_path / "data")).whole()
    assert spaces["images_sha256"] == data.images_sha256
    assert lightning(*words) == 0
    again = capsys.readouterr().out
    assert "training" not in again.split("kernel distance")[0]
    assert "judge     data/yardsticks/digits/judge.pt" in again
    np.savez("samples.npz", images=data.images("train")[0][:120].numpy(), labels=data.images("train")[1][:120].numpy())
    assert lightning("judge", "samples.npz", "--data", "digits", "--root", "data") == 0
    measured = capsys.readouterr().out
    assert "recognisable " in measured
    assert "kid_second" in measured


def test_without_labels_nothing_is_trained_and_the_space_is_named(lightning, tmp_path: Path, capsys) -> None:
    file = write_images(tmp_path / "plain.npz", (1, 28, 28), None, 900)
    assert lightning("judge", "--data", file, "--num", "100") == 0
    said = capsys.readouterr().out
    assert "has no labels; distances in features of fixed random convolutions" in said
    assert "training" not in said
    assert "classes left out" not in said
    assert not (tmp_path / "yardsticks").exists()
