r"""Flow matching over codes that is told a sentence, and the network that reads sentences.

The text network is trained by the flow that it tells something, and by contrast: with :math:`s_{ij} = z_i \cdot t_j / \tau` of the features
of images z and of sentences t in a batch, both of length 1, the similarity of an image and its own sentence shall be the greatest of its
row and of its column:

.. math:: -\tfrac12 \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}} - \tfrac12 \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}}

Reference: Radford et al., Learning Transferable Visual Models from Natural Language Supervision, 2021, figure 3.
https://arxiv.org/abs/2103.00020; Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, 2022.
https://arxiv.org/abs/2112.10752. The flow: `lit_models.nn.flow_prior`.
"""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from lit_models.nn.flow_prior import FlowPrior
from lit_models.nn.transformer import Block
from lit_models.nn.velocity import Velocity
from lit_models.sampling.guidance import checked_guidance
from lit_models.sampling.temperature import checked_temperature

FEATURES = 64


class TextEncoder(nn.Module):
    """Tokens (B, T), 0 where there is no word, to one vector per sentence, (B, width). Vectors stay as they are: they have been read."""

    def __init__(self, words: int, length: int, width: int, inner: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(words + 1, inner), nn.Parameter(torch.empty(length, inner).normal_(std=0.02))
        self.blocks = nn.ModuleList(Block(inner, 4, 0.0, causal=False) for _ in range(layers))
        self.norm, self.out = nn.LayerNorm(inner), nn.Linear(inner, width)

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.is_floating_point():
            return tokens
        features = self.embed(tokens) + self.position
        for block in self.blocks:
            features, _ = block(features)
        return self.out(self.norm(features).mean(dim=1))


class TextVelocity(Velocity):
    """The velocity of a flow over codes (B, D) that is told tokens (B, T), with the features by which images and sentences are matched."""

    def __init__(self, dim: int, words: int, length: int, width: int = 256) -> None:
        super().__init__(dim, None, width)
        self.embed_class = TextEncoder(words, length, width)
        self.image_features = nn.Sequential(nn.Linear(dim, 128), nn.SiLU(), nn.Linear(128, FEATURES))
        self.text_features = nn.Linear(width, FEATURES)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))  # of 1 / tau

    def similarities(self, codes: Tensor, tokens: Tensor) -> Tensor:
        """Of standardised codes (N, D) and sentences (M, T), over tau, (N, M)."""
        images = normalize(self.image_features(codes), dim=1)
        return self.log_scale.exp().clamp_max(100.0) * images @ normalize(self.text_features(self.embed_class(tokens)), dim=1).T


class TextPrior(FlowPrior):
    """A `FlowPrior` that is told sentences. A label stands for the sentence that names the class.

    Args:
        width: D, the width of a code.
        nouns: The sentence of each class as tokens, (classes, T); without classes one sentence.
        classes: The number of labels, or None.
        words: The number of words.
    """

    def __init__(self, width: int, nouns: Tensor, classes: int | None, words: int, guidance: float = 1.0, hidden: int = 256) -> None:
        super().__init__(width, classes, guidance=guidance, velocity=TextVelocity(width, words, nouns.shape[1], hidden))
        self.register_buffer("nouns", nouns)

    @property
    def _no_label(self) -> int:
        return 0

    def _tokens(self, labels: Tensor | None, codes: Tensor) -> Tensor:
        """Tokens (N, T) as they are; labels (N,) as the sentences that name them; nothing as no words."""
        if labels is None:
            return torch.zeros(len(codes), self.nouns.shape[1], dtype=torch.long, device=codes.device)
        return labels.to(codes.device) if labels.ndim == 2 else self.nouns[labels.to(codes.device)]

    def _read(self, tokens: Tensor) -> Tensor:
        """The vectors of sentences, (N, width), which are then not read anew in each step."""
        return self.averaged_velocity.module.embed_class(tokens)

    def draw_told(
        self, tokens: Tensor, generator: Generator | None, temperature: float, steps: int | None = None, guidance: float | None = None
    ) -> Tensor:
        """One code per sentence, (N, D); the noise at time 0 is multiplied by the temperature."""
        noise = checked_temperature(temperature) * torch.randn(len(tokens), self.width, generator=generator).to(self.scale.mean)
        return self._from_noise(noise, tokens.to(noise.device), checked_guidance(guidance, self.guidance), steps)

    def contrast(self, codes: Tensor, tokens: Tensor, counted: Tensor) -> Tensor:
        """The contrastive loss of codes (B, D) and their sentences (B, T), a scalar, over the images that are `counted`, (B,)."""
        found, right = self.velocity.similarities(self.scale.standardise(codes), tokens), torch.arange(len(codes), device=codes.device)
        others = ~counted & (right[:, None] != right)  # columns of images that are not counted, without the diagonal
        rows, columns = (part.masked_fill(others, -math.inf) for part in (found, found.T))
        each = 0.5 * (cross_entropy(rows, right, reduction="none") + cross_entropy(columns, right, reduction="none"))
        return torch.where(counted, each, 0.0).sum() / counted.sum().clamp_min(1)

    def retrieved(self, codes: Tensor, tokens: Tensor) -> Tensor:
        """Whether the sentence that is nearest to an image, among those of all images, says the same as its own, (B,) booleans."""
        found = self.averaged_velocity.module.similarities(self.scale.standardise(codes), tokens).argmax(dim=1)
        return (tokens[found] == tokens).all(dim=1)
