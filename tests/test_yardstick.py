"""The yardstick sees what it is for: distances rise with every distortion, copies are noticed, real images get what real images should."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import mnist_root, needs_mnist
from torch import Generator, Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d

from datamodules import ImageDataModule
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.evaluation import JudgeSamples, KernelDistance, Yardstick, yardstick_of
from lit_models.evaluation.distortions import DISTORTIONS
from lit_models.evaluation.features import SHIPPED, RandomConvolutions, Spaces, held_out, spaces_of
from lit_models.evaluation.sample_quality import frechet_distance

# What a space sees at less than two floors: the weakest strength of these distortions, with 2,000 images.
UNSEEN = {
    "first": {"thickened", "noise added", "shifted, pixels", "one style, share", "class means, share", "copies per image",
              "blends of two digits, share"},
    "second": {"thickened", "shifted, pixels", "bent, pixels", "one style, share", "class means, share", "copies per image",
               "blends of two digits, share"},
    "untrained": {"shifted, pixels", "classes left out", "one style, share", "copies per image", "blends of two digits, share"},
}  # fmt: skip
# With the few images of the small digits, floors are high: these are not seen even at their greatest strength.
UNSEEN_ON_DIGITS = {"classes left out", "class means, share", "blends of two digits, share"}


@cache
def yardstick(dataset: str) -> Yardstick:
    root = str(mnist_root()) if dataset == "mnist" else None
    return yardstick_of(dataset, ImageDataModule(dataset, root=root).whole(), 2000)


@cache
def distances(dataset: str) -> dict[tuple[str, float], dict[str, tuple[float, float, float]]]:
    """KID, its error and FID of held-out images to real ones, by distortion, strength and space; ("", 0) is without distortion."""
    chosen = yardstick(dataset)
    n = min(chosen.n, len(chosen.held_out))
    sets = {("", 0.0): chosen.held_out[:n]}
    sets |= {(name, strength): chosen.distorted(name, strength, n) for name, each in DISTORTIONS.items() for strength in each.strengths}
    found: dict[tuple[str, float], dict[str, tuple[float, float, float]]] = {}
    for key, images in sets.items():
        found[key] = {}
        for space, features in chosen.spaces(images).items():
            kernel, frechet = KernelDistance(), frechet_distance(features.shape[1])
            for metric in (kernel, frechet):
                metric.update(chosen.real_features[space][:n], real=True)
                metric.update(features, real=False)
            values = kernel.compute()
            found[key][space] = (float(values["kid"]), float(values["kid_error"]), float(frechet.compute()))
    return found


def floors(dataset: str, space: str) -> tuple[float, float]:
    kid, error, fid = distances(dataset)["", 0.0][space]
    return abs(kid) + 1.96 * error, fid


DATASETS = [pytest.param("mnist", marks=needs_mnist), "digits"]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", DISTORTIONS)
def test_every_distance_rises_with_the_strength_of_a_distortion(dataset: str, name: str) -> None:
    for space in yardstick(dataset).spaces.widths:
        found = [distances(dataset)[name, strength][space] for strength in DISTORTIONS[name].strengths]
        kids, fids = [each[0] for each in found], [each[2] for each in found]
        kid_floor, fid_floor = floors(dataset, space)
        assert kids == sorted(kids), space
        assert fids == sorted(fids), space
        assert fids[-1] > fid_floor, space
        seen = kids[-1] > 2 * kid_floor
        assert seen or (dataset == "digits" and name in UNSEEN_ON_DIGITS), f"{space} does not see it at all"


@needs_mnist
def test_a_mean_over_3_x_3_pixels_is_at_least_ten_floors_away_in_every_space() -> None:
    """The control: in the features of the shipped judge's first classifier, which was taught to read blur, it is not."""
    for space in yardstick("mnist").spaces.widths:
        kid_floor, fid_floor = floors("mnist", space)
        kid, _, fid = distances("mnist")["blurred, window of n x n", 3][space]
        assert kid >= 10 * kid_floor, space
        assert fid >= 10 * fid_floor, space
    chosen = yardstick("mnist")
    assert chosen.judge is not None
    reader = Spaces({"judge": chosen.judge.classifiers[0].trunk}, chosen.training)
    kids = []
    for images in (chosen.held_out[:2000], chosen.distorted("blurred, window of n x n", 3, 2000)):
        metric = KernelDistance()
        metric.update(reader(chosen.real)["judge"], real=True)
        metric.update(reader(images)["judge"], real=False)
        values = metric.compute()
        kids.append((float(values["kid"]), float(values["kid_error"])))
    assert kids[1][0] < 10 * (abs(kids[0][0]) + 1.96 * kids[0][1])


@needs_mnist
def test_what_a_space_does_not_see_is_known() -> None:
    for space, expected in UNSEEN.items():
        floor = floors("mnist", space)[0]
        weakest = {name for name, each in DISTORTIONS.items() if distances("mnist")[name, each.strengths[0]][space][0] < 2 * floor}
        assert weakest <= expected, space


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distortion_gives_as_many_images_in_range_and_depends_on_its_generator_alone(name: str) -> None:
    images, labels = ImageDataModule("digits").whole().images("train")
    images, labels = images[:300], labels[:300]
    state = torch.get_rng_state()
    for strength in DISTORTIONS[name].strengths:
        first, again = (DISTORTIONS[name].apply(images, labels, strength, Generator().manual_seed(1)) for _ in range(2))
        assert first.shape == images.shape
        assert 0 <= float(first.min()) <= float(first.max()) <= 1 + 1e-6
        assert not torch.equal(first, images)
        torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert torch.equal(state, torch.get_rng_state())


@needs_mnist
def test_no_network_of_the_spaces_has_seen_the_held_out_images() -> None:
    saved = read_checkpoint(SHIPPED / "mnist.pt")
    assert saved["trained_on"] == 45_000 == 55_000 - held_out(55_000)
    assert len(yardstick("mnist").held_out) == 10_000
    assert all(not given["spoil"] for given in saved["classifiers"].values())
    assert len({given["layers"] for given in saved["classifiers"].values()}) == 2
    assert (SHIPPED / "mnist.pt").stat().st_size < 1_500_000


def test_the_untrained_space_is_two_convolutions_with_averages_and_a_projection() -> None:
    network = RandomConvolutions()
    images = torch.rand(3, 1, 28, 28)
    fine = conv2d(images, network.fine, padding=2).relu()
    coarse = conv2d(avg_pool2d(fine, 2), network.coarse, padding=1).relu()
    torch.testing.assert_close(network(images), adaptive_avg_pool2d(coarse, 4).flatten(1) @ network.projection, rtol=1e-4, atol=1e-5)
    for kernels in (network.fine, network.coarse):
        torch.testing.assert_close(kernels.flatten(1).norm(dim=1), torch.ones(len(kernels)))
        torch.testing.assert_close(kernels.flatten(1).mean(dim=1), torch.zeros(len(kernels)), atol=1e-6, rtol=0)
    torch.manual_seed(5)
    assert torch.equal(RandomConvolutions().projection, network.projection), "the same everywhere"


def test_features_have_zero_mean_and_unit_variance_over_real_images() -> None:
    images = ImageDataModule("digits").whole().images("train")[0]
    features = spaces_of("digits", images)(images[:2000])["untrained"]
    torch.testing.assert_close(features.mean(dim=0), torch.zeros(features.shape[1]), atol=1e-4, rtol=0)
    assert float(features.square().mean()) == pytest.approx(1, abs=1e-4)


def test_networks_of_another_data_set_are_refused() -> None:
    with pytest.raises(ValueError, match="expected networks for digits, got those for mnist"):
        spaces_of("digits", torch.rand(10, 1, 28, 28), SHIPPED / "mnist.pt")


def test_the_metric_gives_what_the_yardstick_gives_and_keeps_it_out_of_checkpoints() -> None:
    chosen = yardstick("digits")
    images, labels = chosen.held_out[:120], chosen.held_out_labels[:120]
    metric = JudgeSamples(chosen)
    for rows in torch.arange(120).split(50):
        metric.update(images[rows], labels[rows])
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found == pytest.approx(chosen.quality(images, labels), rel=1e-5)
    assert found["nearer_to_training"] == pytest.approx(0.5, abs=0.1)
    assert found["cas"] > 0.8
    assert metric.state_dict() == {}
    metric.reset()
    metric.update(images[:50])
    with pytest.raises(ValueError, match=r"expected 100 to \d+ samples, as many as there are real images, got 50"):
        metric.compute()


def test_a_yardstick_of_validation_images_never_asks_for_test_images() -> None:
    whole = ImageDataModule("digits").whole()

    class NoTest:
        def images(self, split: str) -> tuple[Tensor, Tensor]:
            assert split != "test", "test images were asked for"
            return whole.images(split)

    found = yardstick_of("digits", NoTest(), 150)
    assert math.isfinite(found.floor(120)["kid_untrained"])
    with pytest.raises(AssertionError, match="test images were asked for"):
        yardstick_of("digits", NoTest(), 150, "test")


@needs_mnist
def test_the_real_images_are_drawn_from_all_test_images() -> None:
    """The first half of MNIST's test images is by other writers than the second: a prefix would be far from the training images."""
    data = ImageDataModule("mnist", root=str(mnist_root())).whole()
    chosen = yardstick_of("mnist", data, 2000, "test")

    def distance(real: Tensor) -> tuple[float, float]:
        metric = KernelDistance()
        metric.update(chosen.spaces.features("untrained", real), real=True)
        metric.update(chosen.spaces.features("untrained", chosen.held_out[:2000]), real=False)
        values = metric.compute()
        return float(values["kid"]), float(values["kid_error"])

    kid, error = distance(chosen.real)
    assert abs(kid) < 4 * error
    prefix, error = distance(data.images("test")[0][:2000])
    assert prefix > 4 * error, "the control"


@needs_mnist
def test_real_images_get_the_values_that_real_images_should_have() -> None:
    chosen = yardstick("mnist")
    found = chosen.floor(2000)
    assert found["recognisable_gap"] < 0.02
    assert found["nearer_to_training"] == pytest.approx(0.5, abs=0.05)
    assert found["novelty"] == pytest.approx(1, abs=0.05)
    assert found["coverage"] > 0.93
    assert found["cas"] > 0.93
    copies = chosen.quality(chosen.training[:500])
    assert copies["nearer_to_training"] > 0.99
    assert copies["novelty"] < 0.05


def test_two_yardsticks_of_the_same_networks_have_one_hash(tmp_path: Path) -> None:
    assert yardstick("digits").sha256 == yardstick_of("digits", ImageDataModule("digits").whole(), 100).sha256
