"""Principal component analysis as an encoder: fitted once by scikit-learn, then a linear map."""

import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from lit_models.losses import PIXELS


class PCAEncoder(nn.Module):
    r"""Images (B, 1, 28, 28) to their principal components, :math:`z = A (x - m)`, (B, n_components), rows of A orthonormal.

    With `whiten` each component is divided by its standard deviation on the training images. Mean (784,), axes
    (n_components, 784) and variances (n_components,) are buffers: they are part of the checkpoint and never trained.
    """

    def __init__(self, n_components: int, whiten: bool) -> None:
        super().__init__()
        if not 1 <= n_components <= PIXELS:
            raise ValueError(f"the number of principal components must lie in 1 to {PIXELS}, got {n_components}")
        self.whiten = whiten
        self.register_buffer("mean", torch.zeros(PIXELS))
        self.register_buffer("axes", torch.zeros(n_components, PIXELS))
        self.register_buffer("variances", torch.zeros(n_components))
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, images: Tensor) -> Tensor:
        codes = (images.flatten(1) - self.mean) @ self.axes.T
        return codes / self.variances.clamp_min(1e-12).sqrt() if self.whiten else codes

    def fit(self, images: Tensor) -> None:
        """Fit to all of `images`, (N, 1, 28, 28), in float64."""
        least = max(2, len(self.axes))
        if len(images) < least:
            raise ValueError(f"{len(self.axes)} principal components expected at least {least} images, got {len(images)}")
        pca = PCA(len(self.axes), svd_solver="covariance_eigh").fit(images.flatten(1).cpu().double().numpy())
        for buffer, value in ((self.mean, pca.mean_), (self.axes, pca.components_), (self.variances, pca.explained_variance_)):
            buffer.copy_(torch.from_numpy(value))
        self.fitted.fill_(True)
