"""Principal component analysis as an encoder: fitted once by scikit-learn, then a linear map."""

import math

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from lit_models.contracts import ImageShape
from lit_models.nn.blocks import MNIST

EXACT = 1024  # pixels of images whose covariance is decomposed exactly


class PCAEncoder(nn.Module):
    r"""Images (B, *image_shape) to their principal components, :math:`z = A (x - m)`, (B, n_components), rows of A orthonormal.

    With `whiten` each component is divided by its standard deviation on the training images. Mean (pixels,), axes
    (n_components, pixels) and variances (n_components,) are buffers: they are part of the checkpoint and never trained.
    """

    def __init__(self, n_components: int, whiten: bool, image_shape: ImageShape = MNIST) -> None:
        super().__init__()
        pixels = math.prod(image_shape)
        if not 1 <= n_components <= pixels:
            raise ValueError(f"the number of principal components must lie in 1 to {pixels}, got {n_components}")
        self.whiten = whiten
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("axes", torch.zeros(n_components, pixels))
        self.register_buffer("variances", torch.zeros(n_components))
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, images: Tensor) -> Tensor:
        codes = (images.flatten(1) - self.mean) @ self.axes.T
        return codes / self.variances.clamp_min(1e-12).sqrt() if self.whiten else codes

    def fit(self, images: Tensor) -> None:
        """Fit to all of `images`, (N, *image_shape), in float64.

        Up to 1,024 pixels the covariance is decomposed exactly. Its cost grows with the cube of their number, so larger images are left to
        scikit-learn's randomised solver (Halko et al. 2011, https://arxiv.org/abs/0909.4061), with a fixed seed.
        """
        least = max(2, len(self.axes))
        if len(images) < least:
            raise ValueError(f"{len(self.axes)} principal components expected at least {least} images, got {len(images)}")
        solver = "covariance_eigh" if len(self.mean) <= EXACT else "randomized"
        pca = PCA(len(self.axes), svd_solver=solver, random_state=0).fit(images.flatten(1).cpu().double().numpy())
        for buffer, value in ((self.mean, pca.mean_), (self.axes, pca.components_), (self.variances, pca.explained_variance_)):
            buffer.copy_(torch.from_numpy(value))
        self.fitted.fill_(True)
