"""The temperature of samplers: 1 changes nothing, below 1 draws vary less, and their distributions are the documented ones."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import SMALL_GAN, build
from conftest import MODELS
from lightning.pytorch import LightningModule
from PIL import Image
from torch import Generator, Tensor

from lit_models.ae import AE
from lit_models.gan import GAN
from lit_models.nn.transformer import CodePrior
from lit_models.sampling.code_frequencies import CodeFrequencies, UniformCodes
from lit_models.sampling.densities import fit_density, standard_normal
from lit_models.sampling.samplers import draw, samplers_of
from lit_models.sampling.temperature import tempered


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def noise_gan() -> GAN:
    torch.manual_seed(0)
    return GAN(conditioning="noise", **SMALL_GAN).eval()


def samples(model: LightningModule, sampler: str, **options: float | None) -> Tensor:
    named = {} if sampler == "own" else {"sampler": sampler}
    classes = samplers_of(model)[sampler]
    return model.sample(40, 3 if classes else None, seeded(), **named, **options)


EVERY = [(name, sampler) for name in MODELS for sampler in samplers_of(build(name))] + [("gan_noise", "own")]


def built(name: str) -> LightningModule:
    return noise_gan() if name == "gan_noise" else build(name)


@pytest.mark.parametrize(("name", "sampler"), EVERY)
def test_the_default_temperature_is_that_which_is_documented_and_changes_no_bit(name: str, sampler: str) -> None:
    model = built(name)
    default = model.temperature if isinstance(model, GAN) else 1.0
    assert torch.equal(samples(model, sampler), samples(model, sampler, temperature=default))
    assert torch.equal(samples(model, sampler), samples(model, sampler, temperature=None))


@pytest.mark.parametrize(("name", "sampler"), [each for each in EVERY if each[1] != "uniform"])
def test_a_low_temperature_leaves_less_variance(name: str, sampler: str) -> None:
    model = built(name)
    low, default = (samples(model, sampler, temperature=temperature).var(dim=0).sum() for temperature in (1e-4, 1.0))
    assert low < default
    if sampler in ("normal", "gaussian", "class_gaussian", "autoregressive", "own") and name not in ("gan", "gan_conditional"):
        assert low < 1e-3 * default, "one component, label or most likely grid has one image; the GANs have one per cluster"


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_codes_of_the_standard_normal_have_the_temperature_as_standard_deviation(temperature: float) -> None:
    codes = standard_normal(4).draw(50_000, generator=seeded(), temperature=temperature)
    torch.testing.assert_close(codes.std(dim=0), torch.full((4,), temperature, dtype=torch.float64), rtol=0.02, atol=0)
    torch.testing.assert_close(codes, temperature * standard_normal(4).draw(50_000, generator=seeded()))


@pytest.mark.parametrize("name", ["gaussian", "class_gaussian", "gmm", "class_gmm", "kde"])
def test_the_distance_of_a_code_to_its_component_is_scaled_and_its_component_kept(name: str) -> None:
    codes, labels = torch.randn(600, 3, generator=seeded()), torch.arange(600) % 10
    density = fit_density(name, codes, labels)
    half, one, two = (density.draw(100, generator=seeded(1), temperature=each) for each in (0.5, 1.0, 2.0))
    means = 2 * half - one  # m + n / 2 and m + n give m
    torch.testing.assert_close(two, means + 2 * (one - means))
    assert (torch.cdist(means, density.means).amin(dim=1) < 1e-5).all()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("label", [None, 1])
def test_frequencies_are_raised_to_the_inverse_temperature(temperature: float, label: int | None) -> None:
    counts = torch.tensor([[60, 30, 10], [5, 0, 95]])  # of three codes at two positions, for class 1
    own = torch.stack([torch.repeat_interleave(torch.arange(3), row) for row in counts], dim=1)
    others = torch.zeros(100, 2, dtype=torch.long)
    frequencies = CodeFrequencies(torch.cat([own, others]), torch.arange(2).repeat_interleave(100).flip(0))
    p = counts / 100 if label == 1 else torch.stack([counts[:, 0] + 100, counts[:, 1], counts[:, 2]], dim=1) / 200
    expected = p.double() ** (1 / temperature) / (p.double() ** (1 / temperature)).sum(dim=1, keepdim=True)
    drawn = frequencies.draw(20_000, label, seeded(), temperature)
    found = torch.stack([(drawn == code).double().mean(dim=0) for code in range(3)], dim=1)
    torch.testing.assert_close(found, expected, atol=0.012, rtol=0)


def test_each_label_gets_the_tempered_frequencies_of_its_own_class() -> None:
    codes = torch.arange(50)[:, None].expand(50, 4) % 10  # the code of every position is the label
    drawn = CodeFrequencies(codes, torch.arange(50) % 10).draw(20, torch.arange(20) % 10, seeded(), 0.5)
    assert torch.equal(drawn, (torch.arange(20) % 10)[:, None].expand(20, 4))


@torch.no_grad()
@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_codes_of_the_transformer_follow_the_softmax_of_logits_divided_by_the_temperature(temperature: float) -> None:
    """Against the probabilities of all nine sequences, one by one."""
    torch.manual_seed(0)
    prior = CodePrior(n_codes=3, length=2, classes=2, width=8, layers=1, heads=1).eval()
    prior.head.weight.mul_(3)
    every = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    logits = prior(every, torch.ones(9, dtype=torch.long))
    expected = (logits / temperature).softmax(dim=-1).gather(2, every[..., None])[..., 0].prod(dim=1)
    drawn = prior.draw(40_000, 1, seeded(), temperature)
    found = torch.bincount(3 * drawn[:, 0] + drawn[:, 1], minlength=9) / 40_000
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


def test_codes_are_uniform_at_every_temperature() -> None:
    draws = [UniformCodes(8, 4).draw(100, None, seeded(), temperature) for temperature in (0.01, 1.0, 50.0)]
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[1], draws[2])


def test_extreme_temperatures_give_the_most_likely_and_uniform_probabilities() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [0.0, -math.inf, -5.0]])
    for tiny in (1e-10, 1e-300, 5e-324):
        assert tempered(logits, tiny).tolist() == [[0, 1, 0], [1, 0, 0]]
    torch.testing.assert_close(tempered(logits, 1e300), torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, 0, 0.5]]))


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(("name", "sampler"), EVERY)
def test_a_temperature_that_is_not_finite_and_above_0_is_refused(name: str, sampler: str, temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature expected a finite number above 0, got"):
        samples(built(name), sampler, temperature=temperature)


def test_a_gan_with_an_invalid_default_temperature_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="temperature expected a finite number above 0, got 0"):
        GAN(temperature=0.0, **SMALL_GAN)


class Own(AE):
    def sample(self, n: int = 1, labels: object = None, generator: Generator | None = None, sampler: str | None = None) -> Tensor:
        return torch.rand(n, 1, 28, 28, generator=generator)


def test_a_model_of_ones_own_is_given_a_temperature_only_if_one_is_asked_for() -> None:
    assert draw(Own(channels=16), 4, "gmm")[0].shape == (4, 1, 28, 28)
    with pytest.raises(ValueError, match="got Own, whose sample takes no temperature"):
        draw(Own(channels=16), 4, "gmm", temperature=0.5)
    model = build("ae")
    drawn = [draw(model, 20, "class_gmm", temperature=temperature)[0] for temperature in (None, 1.0, 0.5)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])


def test_the_command_samples_at_a_temperature_and_says_it(fit, lightning, tmp_path: Path, capsys) -> None:
    fit("vae", "--trainer.max_epochs=1")
    run = tmp_path / "logs" / "vae" / "digits"
    spreads = []
    for words in ([], ["--temperature", 1], ["--temperature", 0.01]):
        capsys.readouterr()
        assert lightning("sample", run, "--num", 20, "--output", "s.npz", *words) == 0
        assert (", temperature" in capsys.readouterr().out) == bool(words)
        spreads.append(np.load("s.npz")["images"].astype(float).std(axis=0).sum())
    assert spreads[0] == spreads[1]
    assert spreads[2] < 0.1 * spreads[1]
    for words in (["--temperature", 0.5], []):
        assert lightning("sample", run, "--num", 8, "--output", f"{len(words)}.png", *words) == 0
    assert "sampler normal, temperature 0.5, trained on digits" in capsys.readouterr().out
    captions = [np.asarray(Image.open(f"{number}.png"))[:16] for number in (0, 2)]
    assert captions[0].shape != captions[1].shape or not np.array_equal(*captions)
    for wrong in ("0", "-1", "nan", "inf", "warm"):
        assert lightning("sample", run, f"--temperature={wrong}") == 2
        assert f"expected a finite number above 0, got '{wrong}'" in capsys.readouterr().err
    assert lightning("sample", run, "--temperature", 0.5, "--noise", 0.5) == 2
    told = capsys.readouterr().err.strip()
    assert "--noise expected no --temperature" in told
    assert len(told.splitlines()) <= 3
