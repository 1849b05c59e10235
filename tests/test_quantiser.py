"""The codebook: nearest codes, moving averages, k-means, revival."""

import pytest
import torch

from lit_models.nn.quantiser import VectorQuantiser, nearest


def blobs(n: int = 8, per: int = 32, dim: int = 4) -> torch.Tensor:
    """`per` vectors in each of `n` tight clusters that lie far apart, (n * per, dim, 1, 1)."""
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(n, dim, generator=generator)
    return (centres.repeat(per, 1) + 0.01 * torch.randn(n * per, dim, generator=generator))[..., None, None]


def test_nearest_agrees_with_all_distances() -> None:
    vectors, codebook = torch.randn(100, 16), torch.randn(32, 16)
    assert torch.equal(nearest(vectors, codebook), torch.cdist(vectors, codebook).argmin(dim=1))


def test_codes_are_fixed_points() -> None:
    quantiser = VectorQuantiser(32, 16)
    quantiser.codebook.normal_()
    indices = torch.randint(32, (3, 5, 5))
    assert torch.equal(quantiser.indices(quantiser.lookup(indices)), indices)


def test_lookup_and_indices_do_not_move_the_codebook() -> None:
    quantiser = VectorQuantiser(8, 4)
    quantiser.update(blobs())
    before = {name: buffer.clone() for name, buffer in quantiser.named_buffers()}
    quantiser.lookup(quantiser.indices(blobs()))
    assert all(torch.equal(buffer, before[name]) for name, buffer in quantiser.named_buffers())


def test_the_first_batch_places_every_code_among_the_data() -> None:
    quantiser = VectorQuantiser(16, 4)
    quantiser.update(blobs())
    distances = torch.cdist(quantiser.codebook, blobs()[..., 0, 0]).min(dim=1).values
    assert distances.max() < 0.1


def test_one_update_is_the_moving_average_of_the_paper() -> None:
    quantiser = VectorQuantiser(2, 1, decay=0.9, revive_below=0.0)
    quantiser.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantiser.counts.copy_(torch.tensor([4.0, 4.0]))
    quantiser.sums.copy_(quantiser.codebook * 4)
    quantiser.updates.fill_(1)
    quantiser.update(torch.tensor([1.0, 1.0, 9.0]).view(3, 1, 1, 1))
    counts = torch.tensor([0.9 * 4 + 0.1 * 2, 0.9 * 4 + 0.1 * 1])
    sums = torch.tensor([0.1 * 2.0, 0.9 * 40 + 0.1 * 9.0])
    torch.testing.assert_close(quantiser.counts, counts)
    torch.testing.assert_close(quantiser.codebook[:, 0], sums / counts, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("revive_below", "used"), [(0.02, 8), (0.0, 1)])
def test_dead_codes_return_to_the_data_only_by_revival(revive_below: float, used: int) -> None:
    quantiser = VectorQuantiser(8, 4, decay=0.5, revive_below=revive_below)
    quantiser.codebook.fill_(1000.0)  # all codes at one point, far from the data: a collapsed codebook
    quantiser.counts.fill_(1.0)
    quantiser.sums.copy_(quantiser.codebook)
    quantiser.updates.fill_(1)
    for _ in range(12):
        quantiser.update(blobs())
    occurring = len(quantiser.indices(blobs()).unique())
    assert occurring == 1 if used == 1 else occurring >= 6


def test_updates_draw_nothing_from_the_default_generator() -> None:
    before = torch.get_rng_state()
    VectorQuantiser(16, 4).update(blobs())
    assert torch.equal(torch.get_rng_state(), before)


def test_decay_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\), got 1.5"):
        VectorQuantiser(8, 4, decay=1.5)
