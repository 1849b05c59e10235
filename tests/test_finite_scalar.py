"""Finite scalar quantisation: codes are a grid that needs no codebook, and a VQ-VAE trains with it."""

from pathlib import Path

import pytest
import torch
from builders import fit_batches

from lit_models.contracts import HasCodebook
from lit_models.losses import squared_error
from lit_models.nn.finite_scalar import FiniteScalarQuantiser
from lit_models.vqvae import VQVAE

LEVELS = [(8, 6, 5), (3,), (4, 4), (7, 5, 5, 5)]
SMALL = dict(quantiser="fsq", channels=16, prior_width=32, prior_layers=1)


def every_index(quantiser: FiniteScalarQuantiser) -> torch.Tensor:
    return torch.arange(quantiser.n_codes).view(-1, 1, 1)


def normal_vectors(quantiser: FiniteScalarQuantiser, n: int = 20_000, spread: float = 1.0) -> torch.Tensor:
    return spread * torch.randn(n, quantiser.dim, 1, 1, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("levels", LEVELS)
def test_indices_and_codes_are_a_bijection(levels: tuple[int, ...]) -> None:
    quantiser = FiniteScalarQuantiser(levels)
    codes = quantiser.lookup(every_index(quantiser))
    assert quantiser.n_codes == torch.tensor(levels).prod()
    assert torch.equal(quantiser.indices(codes), every_index(quantiser))
    assert len(codes[..., 0, 0].unique(dim=0)) == quantiser.n_codes
    assert [len(numbers.unique()) for numbers in codes.transpose(0, 1)] == list(levels)


@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_is_reached_from_encoder_outputs(levels: tuple[int, ...]) -> None:
    quantiser = FiniteScalarQuantiser(levels)
    vectors = normal_vectors(quantiser)
    assert len(quantiser.indices(quantiser.bound(vectors)).unique()) == quantiser.n_codes
    ends = quantiser.bound(torch.tensor([-1e4, 1e4])[:, None, None, None].expand(2, quantiser.dim, 1, 1))
    assert quantiser.indices(ends)[:, 0, 0].tolist() == [0, quantiser.n_codes - 1]


@pytest.mark.parametrize("levels", LEVELS)
def test_a_code_is_the_rounded_value_of_the_paper(levels: tuple[int, ...]) -> None:
    quantiser = FiniteScalarQuantiser(levels)
    vectors, each = normal_vectors(quantiser, 500), torch.tensor(levels)[:, None, None]
    bounded = quantiser.bound(vectors) * (each // 2)
    codes = quantiser.lookup(quantiser.indices(quantiser.bound(vectors)))
    torch.testing.assert_close(codes, bounded.round() / (each // 2))
    assert (bounded >= -(each // 2)).all()
    assert (bounded <= (each - 1) // 2).all()
    assert codes.min() == -1


@pytest.mark.parametrize("levels", LEVELS)
def test_zero_stays_zero_for_odd_and_even_levels(levels: tuple[int, ...]) -> None:
    quantiser = FiniteScalarQuantiser(levels)
    torch.testing.assert_close(quantiser.bound(torch.zeros(1, quantiser.dim, 1, 1)), torch.zeros(1, quantiser.dim, 1, 1))


def test_rounding_is_idempotent_and_takes_any_vector_to_its_nearest_code() -> None:
    quantiser = FiniteScalarQuantiser()
    vectors = normal_vectors(quantiser, 500, spread=3.0)  # many lie outside the grid
    once = quantiser.lookup(quantiser.indices(vectors))
    assert torch.equal(quantiser.lookup(quantiser.indices(once)), once)
    nearest = torch.cdist(vectors[..., 0, 0], quantiser.codebook).argmin(dim=1)
    distances = [(vectors[..., 0, 0] - quantiser.codebook[found]).norm(dim=1) for found in (quantiser.indices(vectors)[:, 0, 0], nearest)]
    torch.testing.assert_close(*distances)


def test_the_gradient_is_that_of_the_bounded_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of the reconstruction with respect to the encoder's output passes the rounding, but not the tanh, unchanged."""
    monkeypatch.setattr(VQVAE, "log_dict", lambda *args, **kwargs: None)
    torch.manual_seed(0)
    model, images = VQVAE(**SMALL), torch.rand(4, 1, 28, 28)
    vectors = model.encoder(images).detach().requires_grad_()
    monkeypatch.setattr(model, "encoder", torch.nn.Identity())
    monkeypatch.setattr(model.encoder, "forward", lambda images: vectors)
    model._autoencoder_step([images, torch.arange(4)]).backward()
    codes = model.quantiser.lookup(model.quantiser.indices(model.quantiser.bound(vectors))).detach().requires_grad_()
    through_codes = torch.autograd.grad(squared_error(model.decoder(codes).sigmoid(), images).mean(), codes)[0]
    again = vectors.detach().requires_grad_()
    expected = torch.autograd.grad(model.quantiser.bound(again), again, through_codes)[0]
    torch.testing.assert_close(vectors.grad, expected)
    assert not torch.allclose(vectors.grad, through_codes), "the control: tanh does change it"


def test_an_update_changes_nothing_and_nothing_is_saved() -> None:
    quantiser = FiniteScalarQuantiser()
    before = {name: buffer.clone() for name, buffer in quantiser.named_buffers()}
    quantiser.update(torch.randn(8, 3, 4, 4))
    assert all(torch.equal(buffer, before[name]) for name, buffer in quantiser.named_buffers())
    assert not quantiser.state_dict()
    assert not list(quantiser.parameters())


@pytest.mark.parametrize("levels", [(), (8, 2), (1,)])
def test_too_few_levels_are_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="levels expected at least 3"):
        FiniteScalarQuantiser(levels)


def test_an_unknown_quantiser_is_refused() -> None:
    with pytest.raises(ValueError, match="quantiser must be codebook or fsq, got 'FSQ'"):
        VQVAE(quantiser="FSQ")


def test_the_model_takes_the_number_of_codes_and_their_width_from_the_levels() -> None:
    model = VQVAE(**SMALL, n_codes=7, code_dim=99).eval()
    assert isinstance(model, HasCodebook)
    assert model.n_codes == 240
    with torch.no_grad():
        codes = model.encode(torch.rand(2, 1, 28, 28))
        assert codes.shape == (2, 3, 4, 4)
        torch.testing.assert_close(model.decode(codes + 0.01 * torch.randn_like(codes)), model.decode(codes))


@pytest.mark.parametrize("autoencoder_steps", [1, -1])
def test_a_vqvae_with_fixed_codes_trains_one_part_per_phase(autoencoder_steps: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VQVAE(**SMALL, autoencoder_steps=autoencoder_steps, prior_steps=5)
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit_batches(model, tmp_path)
    moved = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == ({"encoder", "decoder"} if autoencoder_steps == 1 else {"prior"})
    assert ("commitment" in model.last_terms) is False
