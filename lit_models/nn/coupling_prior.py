r"""Affine couplings over codes: an invertible map from standardised codes to noise, whose density is exact and takes one pass.

Each coupling keeps half of the numbers, a, and moves the others, b, by what a network says of a and of the class:

.. math:: b' = b\, e^{s(a, y)} + m(a, y), \qquad \log p(z) = \log N(f(z); 0, I) + \textstyle\sum s

The halves change from coupling to coupling. The network minimises :math:`-\log p(z|y)`.

Reference: Dinh et al., Density Estimation using Real NVP, 2017, equations 6 to 8, https://arxiv.org/abs/1605.08803. As the prior of an
autoencoder: Xiao et al., Generative Latent Flow, 2019, https://arxiv.org/abs/1905.10485.
"""

import math

import torch
from torch import Generator, Tensor, nn

from lit_models.nn.code_scale import CodeScale
from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature
from lit_models.training.averages import averaged

STRETCH = 1.5  # the largest |s| of a coupling


class Coupling(nn.Module):
    """An affine coupling, (B, D) to (B, D), and the sum of its s, (B,); it is the identity before training.

    Args:
        kept: Which numbers are kept, (D,) booleans.
    """

    def __init__(self, kept: Tensor, classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("kept", kept, persistent=False)
        dim = len(kept)
        self.embed_class = nn.Embedding(classes, width)
        self.enter = nn.Linear(dim, width)
        self.body = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2 * dim))
        nn.init.zeros_(self.body[-1].weight)
        nn.init.zeros_(self.body[-1].bias)

    def _stretch_and_shift(self, codes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        known = torch.where(self.kept, codes, 0.0)
        stretch, shift = self.body(self.enter(known) + self.embed_class(labels)).chunk(2, dim=1)
        stretch = STRETCH * (stretch / STRETCH).tanh()
        return torch.where(self.kept, 0.0, stretch), torch.where(self.kept, 0.0, shift)

    def forward(self, codes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        stretch, shift = self._stretch_and_shift(codes, labels)
        return codes * stretch.exp() + shift, stretch.sum(dim=1)

    def inverse(self, moved: Tensor, labels: Tensor) -> Tensor:
        stretch, shift = self._stretch_and_shift(moved, labels)
        return (moved - shift) * (-stretch).exp()


class Couplings(nn.Module):
    """Couplings one after the other, each of which keeps another half of the numbers: a fixed random half, then its complement."""

    def __init__(self, dim: int, classes: int, couplings: int, width: int) -> None:
        super().__init__()
        generator, halves = Generator().manual_seed(0), []
        for _ in range(couplings // 2):
            kept = torch.randperm(dim, generator=generator) < dim // 2
            halves += [kept, ~kept]
        self.couplings = nn.ModuleList(Coupling(kept, classes, width) for kept in halves)

    def forward(self, codes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (B, D), and the logarithm of the volume by which the map changes it, (B,)."""
        volume = torch.zeros_like(codes[:, 0])
        for coupling in self.couplings:
            codes, stretch = coupling(codes, labels)
            volume = volume + stretch
        return codes, volume

    def inverse(self, noise: Tensor, labels: Tensor) -> Tensor:
        for coupling in reversed(self.couplings):
            noise = coupling.inverse(noise, labels)
        return noise


class CouplingPrior(nn.Module):
    """A `lit_models.contracts.CodeDistribution` over codes (N, D). Samples and densities use averaged weights.

    Args:
        width: D, at least 2.
        classes: The number of labels; None for codes of images without labels.
        decay: Decay of the moving average of the weights.
    """

    name = "coupling"

    def __init__(self, width: int, classes: int | None, couplings: int = 8, hidden: int = 128, decay: float = 0.999) -> None:
        super().__init__()
        if width < 2:
            raise ValueError(f"couplings expected codes of at least 2 numbers, got {width}")
        self.width, self.classes = width, classes
        self.scale = CodeScale(width, classes)
        self.couplings = Couplings(width, classes or 1, couplings, hidden)
        self.averaged_couplings = averaged(self.couplings, decay)

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return self.couplings

    def loss(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Negative log-density given the label, in nats per code, (B,): in training of the network, in evaluation of averaged weights."""
        couplings = self.couplings if self.training else self.averaged_couplings
        return -self._log_density(couplings, codes, self._tokens(labels, codes))

    def after_step(self) -> None:
        """Take the weights of the last step into the average."""
        self.averaged_couplings.update_parameters(self.couplings)

    def _tokens(self, labels: Tensor | None, codes: Tensor) -> Tensor:
        if labels is None or self.classes is None:
            return torch.zeros(len(codes), dtype=torch.long, device=codes.device)
        return labels.to(codes.device)

    def _log_density(self, couplings: nn.Module, codes: Tensor, labels: Tensor) -> Tensor:
        noise, volume = couplings(self.scale.standardise(codes), labels)
        normal = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(dim=1)
        return normal + volume - self.scale.log_volume()

    def draw(self, n: int, labels: Tensor | int | None = None, generator: Generator | None = None, temperature: float = 1.0) -> Tensor:
        """`n` codes, (n, D): the map's inverse of noise, which is multiplied by the temperature.

        Without labels they are drawn with the shares of training images.
        """
        asked = labels_for(n, labels, self.classes)
        if asked is None and self.classes is not None:
            asked = torch.multinomial(self.scale.shares.cpu(), n, replacement=True, generator=generator)
        noise = checked_temperature(temperature) * torch.randn(n, self.width, generator=generator).to(self.scale.mean)
        with torch.no_grad():
            return self.scale.restore(self.averaged_couplings.module.inverse(noise, self._tokens(asked, noise)))

    def log_density(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        r"""Log-density of codes (N, D) given labels (N,), in nats, (N,); without labels :math:`\log \sum_y p(y)\, p(z|y)`.

        p(y) are the shares of the classes among training images.
        """
        codes = codes.to(self.scale.mean)
        if labels is not None or self.classes is None:
            return self._log_density(self.averaged_couplings, codes, self._tokens(labels, codes))
        each = [
            share.log() + self._log_density(self.averaged_couplings, codes, torch.full((len(codes),), label, device=codes.device))
            for label, share in enumerate(self.scale.shares)
        ]
        return torch.stack(each).logsumexp(dim=0)
