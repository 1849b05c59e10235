"""Metrics of samples: known values, controls that must score badly, and two processes against one."""

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Generator, Tensor, nn
from torch import distributed as dist
from torch import multiprocessing as mp
from torch.nn.functional import avg_pool2d

from datamodules import ImageDataModule
from lit_models.evaluation import JudgeOutput, SampleQuality, posterior_use, response_to_noise, separation, sharpness, sigma50
from lit_models.evaluation.corruptions import KINDS
from lit_models.evaluation.measure import measure_noise
from lit_models.evaluation.noise_response import within_class_distance
from lit_models.evaluation.sample_quality import frechet_distance


def test_the_frechet_distance_of_gaussians_agrees_with_its_formula() -> None:
    r"""|m|^2 + tr(A + B - 2 (A B)^{1/2}). If the covariances commute, the trace is the sum of (a - b)^2 over standard deviations."""
    torch.manual_seed(0)
    a, b, mean = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([1.5, 1.0, 0.5]), torch.tensor([0.3, -1.0, 0.0])
    rotation, _ = torch.linalg.qr(torch.randn(3, 3))
    distance = frechet_distance(3)
    distance.update((torch.randn(200_000, 3) * a) @ rotation, real=True)
    distance.update((torch.randn(200_000, 3) * b + mean) @ rotation, real=False)
    expected = float(mean.square().sum() + (a - b).square().sum())
    assert float(distance.compute()) == pytest.approx(expected, rel=0.02)


WIDTHS = {"first": 16, "second": 5}


def features(images: Tensor) -> dict[str, Tensor]:
    """Two spaces: pooled pixels, and some of them."""
    pooled = avg_pool2d(images, 7).flatten(1)
    return {"first": pooled, "second": pooled[:, :5]}


def assessed(images: Tensor, labels: Tensor, valid: float = 1.0) -> JudgeOutput:
    """Output of a judge that knows the labels: the share `valid` of the images is recognisable."""
    return JudgeOutput(labels, torch.arange(len(images)) < valid * len(images))


def quality(real: tuple[Tensor, Tensor], drawn: tuple[Tensor, Tensor], asked: Tensor | None = None, valid: float = 1.0) -> dict[str, float]:
    metric = SampleQuality(WIDTHS)
    metric.update(real[0], features(real[0]), assessed(*real), real=True)
    for rows in torch.arange(len(drawn[0])).split(37):
        part = drawn[0][rows], drawn[1][rows]
        metric.update(part[0], features(part[0]), assessed(*part), real=False, asked=None if asked is None else asked[rows])
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    data = ImageDataModule("digits", limit=400)
    data.setup()
    return data.images("train")


def test_images_compared_with_themselves_get_perfect_values(digits: tuple[Tensor, Tensor]) -> None:
    found = quality(digits, digits, asked=digits[1])
    exact = {name: found[name] for name in ("recognisable", "control", "balance", "spread", "sharpness", "precision", "recall", "coverage")}
    assert exact == pytest.approx(dict.fromkeys(exact, 1.0))
    assert found["fid"] == pytest.approx(0, abs=1e-4)
    assert found["recognisable_gap"] == 0
    assert {f"{name}_second" for name in ("kid", "kid_error", "fid", "density", "coverage")} <= found.keys()


def test_more_recognisable_samples_than_real_images_are_no_merit(digits: tuple[Tensor, Tensor]) -> None:
    """The gap counts both ways; the share itself does not show which is better."""
    metric = SampleQuality(WIDTHS)
    metric.update(digits[0], features(digits[0]), assessed(*digits, valid=0.75), real=True)
    metric.update(digits[0], features(digits[0]), assessed(*digits, valid=1.0), real=False)
    found = metric.compute()
    assert float(found["recognisable"]) == 1
    assert float(found["recognisable_gap"]) == pytest.approx(0.25)


def test_without_a_judge_there_are_distances_and_sharpness_alone(digits: tuple[Tensor, Tensor]) -> None:
    metric = SampleQuality(WIDTHS)
    for real in (True, False):
        metric.update(digits[0], features(digits[0]), None, real=real)
    found = metric.compute()
    assert {"kid", "fid_second", "coverage", "sharpness"} <= found.keys()
    assert not {"recognisable", "control", "balance", "spread"} & found.keys()


def test_each_metric_detects_the_failure_that_it_is_for(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    one_class = labels == 3
    assert quality(digits, (images[one_class], labels[one_class]))["balance"] == pytest.approx(0.1, abs=0.03)
    assert quality(digits, (images[one_class], labels[one_class]))["coverage"] < 0.4
    means = torch.stack([images[labels == digit].mean(dim=0) for digit in range(10)])[labels]
    assert quality(digits, (means, labels))["spread"] == pytest.approx(0, abs=1e-6)
    assert quality(digits, digits, asked=(labels + 1) % 10)["control"] == 0
    assert quality(digits, (torch.rand_like(images), labels))["density"] == 0


def test_measuring_draws_nothing_from_the_default_generator(digits: tuple[Tensor, Tensor]) -> None:
    before = torch.get_rng_state()
    quality(digits, digits)
    assert torch.equal(before, torch.get_rng_state())


def _share(rank: int, port: int, digits: tuple[Tensor, Tensor], folder: str) -> None:
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    images, labels = digits
    torch.manual_seed(rank)  # the random generators of the processes may have different states
    metric = SampleQuality(WIDTHS)
    for start, real in ((0, True), (200, False)):
        rows = slice(start + 100 * rank, start + 100 * rank + 100)
        metric.update(
            images[rows], features(images[rows]), assessed(images[rows], labels[rows]), real=real, asked=None if real else labels[rows]
        )
    torch.save(metric.compute(), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_measure_the_same_as_one(digits: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    images, labels = digits
    mp.spawn(_share, args=(port, digits, str(tmp_path)), nprocs=2)
    alone = SampleQuality(WIDTHS)
    alone.update(images[:200], features(images[:200]), assessed(images[:200], labels[:200]), real=True)
    alone.update(images[200:400], features(images[200:400]), assessed(images[200:400], labels[200:400]), real=False, asked=labels[200:400])
    for rank in range(2):
        shared = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert {name: float(value) for name, value in shared.items()} == pytest.approx(
            {name: float(value) for name, value in alone.compute().items()}, rel=1e-5, abs=1e-6
        )


def test_sharpness_falls_with_blur_and_is_low_for_noise(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    generator = Generator().manual_seed(0)
    blurred = [float(sharpness(avg_pool2d(images, width, stride=1, padding=width // 2)).mean()) for width in (1, 3, 5, 7)]
    assert blurred == sorted(blurred, reverse=True)
    assert float(sharpness(KINDS["uniform noise"](images, labels, generator)).mean()) < blurred[1]
    assert float(sharpness(KINDS["shuffled pixels"](images, labels, generator)).mean()) < blurred[0] / 2
    assert sharpness(torch.zeros(2, 1, 28, 28)).tolist() == [0, 0]
    torch.testing.assert_close(sharpness(images.rot90(dims=(2, 3))), sharpness(images))


def test_sharpness_agrees_with_singular_values_window_by_window() -> None:
    torch.manual_seed(0)
    image = torch.rand(28, 28)
    padded = torch.zeros(30, 30)
    padded[1:-1, 1:-1] = image
    across, down = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2, (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    weighted, weights = 0.0, 0.0
    for top in range(24):
        for left in range(24):
            window = (slice(top, top + 5), slice(left, left + 5))
            strong, weak = torch.linalg.svdvals(torch.stack([across[window].flatten(), down[window].flatten()], dim=1)) / 5
            weighted, weights = weighted + strong * strong * (strong - weak) / (strong + weak), weights + strong
    torch.testing.assert_close(sharpness(image[None, None])[0], weighted / weights, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sharpness(0.5 * image[None, None]), 0.5 * sharpness(image[None, None]))


def test_response_to_noise_of_a_known_decoder_has_the_known_curves() -> None:
    """A code on a line decodes to the nearest digit, so it keeps its class while the noise is below half the distance to the next."""
    codes = torch.arange(10.0)[:, None]

    def decode(z: Tensor) -> Tensor:
        return (z.round().clamp(0, 9) / 9)[:, :, None, None].expand(-1, 1, 28, 28)

    def assess(images: Tensor) -> JudgeOutput:
        digits = (9 * images[:, 0, 0, 0]).round().long()
        return JudgeOutput(digits, digits % 2 == 0)

    def read(images: Tensor) -> Tensor:
        return (9 * images[:, :, 0, 0]).round()

    sigmas, generator = (0, 0.05, 0.74, 5), Generator().manual_seed(0)
    ones, labels = torch.ones(10, 1), torch.arange(10)
    found = response_to_noise(decode, assess, read, codes, ones, labels, 2.0, sigmas=sigmas, draws=400, generator=generator)
    assert found["kept"][:2] == [1, 1]
    assert found["kept"][2] == pytest.approx(0.55, abs=0.03)  # P(|N| < 0.5 / 0.74) = 0.5, and the two ends have only one neighbour
    assert found["recognisable"][0] == 0.5
    assert found["change"][:2] == [0, 0]
    assert found["next"][2] > 0.9
    assert found["next"][3] < 0.5
    assert found["change"][3] > found["change"][2] > 0


def test_sigma50_is_interpolated_and_none_without_a_crossing() -> None:
    assert sigma50([0, 1, 2], [1, 0.6, 0.4]) == pytest.approx(1.5)
    assert sigma50([0, 1], [1, 0.9]) is None


def test_the_unit_of_change_is_the_mean_distance_of_two_images_of_a_class() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(4000, 3), torch.arange(4000) % 10
    assert within_class_distance(features + 100 * labels[:, None], labels) == pytest.approx(2.257, rel=0.05)  # E|N(0, 2 I_3)|


def test_codes_that_are_labels_are_separable_and_noise_is_not() -> None:
    torch.manual_seed(0)
    labels = torch.arange(600) % 10
    known = torch.eye(10)[labels] + 0.01 * torch.randn(600, 10)
    told = separation((known[:400], labels[:400]), (known[400:], labels[400:]))
    assert min(told["probe"], told["knn"]) == 1
    assert told["silhouette"] > 0.9
    nothing = separation((torch.randn(400, 10), labels[:400]), (torch.randn(200, 10), labels[400:]))
    assert max(nothing["probe"], nothing["knn"]) < 0.25
    one = (known[:400], torch.zeros(400, dtype=torch.long))
    assert separation(one, (known[400:], labels[400:])) == separation((known[400:], labels[400:]), one) == {}, "a single class"


def test_noise_whose_images_all_show_one_class_has_no_probe() -> None:
    """As that of a VAE without reconstruction, which ended the measuring of a study."""

    class OneDigit(nn.Module):
        noise_shape, device = (2,), torch.device("cpu")

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def from_noise(self, noise: Tensor) -> Tensor:
            return torch.zeros(len(noise), 1, 28, 28)

    classes = SimpleNamespace(classes=torch.full((40,), 3))
    judged = SimpleNamespace(judge=SimpleNamespace(assess=lambda images: classes))
    assert measure_noise(OneDigit(), judged, n=40) == {"noise_chance": 1.0}  # type: ignore[arg-type]


def test_code_dimensions_whose_mean_varies_over_images_are_active() -> None:
    torch.manual_seed(0)
    mean = torch.cat([torch.randn(500, 2), 0.01 * torch.randn(500, 3)], dim=1)
    found, each = posterior_use(mean, torch.cat([torch.full((500, 2), -2.0), torch.zeros(500, 3)], dim=1))
    assert found["active"] == 2
    assert sum(each) == pytest.approx(found["kl"])
    assert max(each[2:]) < 0.01 < 1 < min(each[:2])
    assert found["kl"] == pytest.approx(2 * 0.5 * (1 + 0.1353 - 1 + 2), rel=0.1)  # E mean^2 = 1, variance exp(-2)
