"""Networks: output shapes, memory layout, and the positions that their layers connect."""

import pytest
import torch

from lit_models.nn.autoencoder import GridDecoder, GridEncoder, WholeGrid
from lit_models.nn.blocks import FlattenGrid, UnflattenGrid


def test_grids_become_vectors_and_grids_again_without_a_copy() -> None:
    grid = torch.rand(3, 5, 7, 7).to(memory_format=torch.channels_last)
    vectors = FlattenGrid()(grid)
    again = UnflattenGrid(5, 7)(vectors)
    assert torch.equal(again, grid)
    assert again.is_contiguous(memory_format=torch.channels_last)
    assert vectors.data_ptr() == grid.data_ptr() == again.data_ptr()
    assert torch.equal(vectors[:, :5], grid[:, :, 0, 0])  # position by position


@torch.no_grad()
def test_each_position_of_a_whole_grid_depends_on_every_other() -> None:
    torch.manual_seed(0)
    part, vectors = WholeGrid(4, 4, 32), torch.randn(1, 4, 4, 4)
    changed = vectors.clone()
    changed[:, :, 0, 0] += 1
    assert ((part(changed) - part(vectors)).abs().amax(dim=1) > 1e-6).all()


@pytest.mark.parametrize("grid", [4, 5, 7])
@torch.no_grad()
def test_images_become_a_grid_of_vectors_and_images_again(grid: int) -> None:
    vectors = GridEncoder(6, grid, channels=16)(torch.rand(2, 1, 28, 28))
    assert vectors.shape == (2, 6, grid, grid)
    assert GridDecoder(6, grid, channels=16)(vectors).shape == (2, 1, 28, 28)


def test_a_grid_size_without_a_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"grid must be one of \[4, 5, 7\]"):
        GridEncoder(6, 6)
