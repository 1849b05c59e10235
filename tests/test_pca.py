"""The PCA encoder."""

from pathlib import Path

import pytest
import torch
from builders import digit_images, fit_batches

from lit_models.nn.pca import PCAEncoder
from lit_models.pca_ae import PCAAE


@torch.no_grad()
@pytest.mark.parametrize("whiten", [False, True])
def test_pca_axes_are_those_of_the_singular_value_decomposition(whiten: bool) -> None:
    images = digit_images(300)
    encoder = PCAEncoder(5, whiten)
    encoder.fit(images)
    torch.testing.assert_close(encoder.axes @ encoder.axes.T, torch.eye(5), atol=1e-5, rtol=0)
    flat = images.flatten(1).double()
    _, values, axes = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
    signs = (encoder.axes.double() * axes[:5]).sum(dim=1, keepdim=True).sign()
    torch.testing.assert_close(encoder.axes.double(), signs * axes[:5], atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.variances.double(), values[:5].square() / (len(flat) - 1), rtol=1e-5, atol=0)
    codes = encoder(images)
    torch.testing.assert_close(codes.T.cov().diag(), torch.ones(5) if whiten else encoder.variances, rtol=1e-4, atol=0)


def test_pca_is_fitted_once_to_the_training_images(tmp_path: Path) -> None:
    model = PCAAE(channels=16)
    fit_batches(model, tmp_path)
    torch.testing.assert_close(model.encoder.mean, digit_images(128).flatten(1).mean(dim=0), atol=1e-6, rtol=1e-4)
    model.encoder.axes.mul_(-1)  # a sign that no fit would give
    before = model.encoder.axes.clone()
    fit_batches(model, tmp_path)
    assert torch.equal(model.encoder.axes, before)
    with pytest.raises(ValueError, match="200 principal components expected at least 200 images, got 128"):
        fit_batches(PCAAE(latent_dim=200, channels=16), tmp_path)
