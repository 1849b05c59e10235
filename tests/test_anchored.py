"""The label-anchored decoder: layouts and matched noise."""

import itertools

import pytest
import torch
from builders import digit_images
from torch.distributions import MultivariateNormal

from lit_models.anchored import AnchoredDecoder
from lit_models.losses import squared_error
from lit_models.sampling.anchors import class_anchors


@torch.no_grad()
def test_matched_noise_is_the_best_assignment_of_the_same_draws() -> None:
    model = AnchoredDecoder(latent_dim=16, noise=0.5, channels=16, noise_assignment="matched").eval()
    images, labels = digit_images(128)[:10], torch.tensor([3, 3, 3, 3, 3, 7, 7, 7, 7, 0])
    codes = model.anchors()[labels] + 3 * torch.randn(10, 16, generator=torch.Generator().manual_seed(0))
    matched = model._matched(codes, images, labels)

    def cost(dealt: torch.Tensor) -> float:
        return float(squared_error(model.decode(dealt), images).sum())

    best = float("inf")
    for threes in itertools.permutations(range(5)):
        for sevens in itertools.permutations(range(5, 9)):
            best = min(best, cost(codes[[*threes, *sevens, 9]]))
    assert cost(matched) == pytest.approx(best, rel=1e-5)
    assert cost(matched) < cost(codes)
    for digit in (3, 7, 0):  # each class keeps its own draws
        torch.testing.assert_close(matched[labels == digit].sort(dim=0).values, codes[labels == digit].sort(dim=0).values)


@pytest.mark.parametrize("layout", ["line", "circle", "simplex"])
def test_the_distance_of_neighbouring_anchors_is_the_root_of_the_dimension(layout: str) -> None:
    anchors = class_anchors(layout, 16, 10)
    apart = torch.cdist(anchors, anchors)
    torch.testing.assert_close(apart.diagonal(1), torch.full((9,), 4.0))
    if layout == "line":
        torch.testing.assert_close(anchors, torch.arange(10.0)[:, None] * torch.ones(16))
    else:
        assert float(apart[0, 9]) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="expected latent_dim of at least"):
        class_anchors(layout, 0, 10)


@torch.no_grad()
@pytest.mark.parametrize("layout", ["line", "circle", "simplex"])
def test_the_class_posterior_of_a_code_agrees_with_torch_distributions(layout: str) -> None:
    model = AnchoredDecoder(latent_dim=10, layout=layout, noise=0.7)
    codes = model.anchors()[torch.arange(40) % 10] + torch.randn(40, 10, generator=torch.Generator().manual_seed(0))
    classes = MultivariateNormal(model.anchors(), 0.49 * torch.eye(10))
    expected = classes.log_prob(codes[:, None]).softmax(dim=1)
    torch.testing.assert_close(model._posterior(codes), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(model._posterior(model.anchors()), torch.eye(10), atol=1e-3, rtol=0)


@torch.no_grad()
def test_codes_far_outside_the_training_range_decode_like_the_outermost() -> None:
    model = AnchoredDecoder(latent_dim=4, noise=0.24).eval()
    across = torch.tensor([1.0, -1.0, 0.0, 0.0])  # this direction leads to no other class
    near, far, further = (model.decode(model.anchors() + distance * across) for distance in (0.0, 2.0, 20.0))
    torch.testing.assert_close(far, further)
    assert not torch.allclose(near, far)
