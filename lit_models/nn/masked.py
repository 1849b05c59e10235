r"""Class-conditional masked prior over the codes of a quantised image: the codes can be drawn in any order, and several at once.

A transformer without a causal mask reads the class and the codes, some of which are replaced by a mask, and gives a distribution of each
masked code. With M the masked positions of P, their number uniform on 1 to P and each set of that size alike, it minimises

.. math:: E_M \; \tfrac{P}{|M|} \textstyle\sum_{i \in M} -\log p(k_i \mid k_{\bar M}, y) \;
          = \; E_\sigma \textstyle\sum_t -\log p(k_{\sigma(t)} \mid k_{\sigma(<t)}, y) \;
          \ge \; -\log E_\sigma \, p_\sigma(k \mid y) ,

the nats of a code that is drawn one by one in the order :math:`\sigma`, averaged over all orders: the any-order bound. On the right is the
distribution that `draw` samples from if it takes one step per code.

Reference: Hoogeboom et al., Autoregressive Diffusion Models, 2022, section 3 (the bound, one term per step).
https://arxiv.org/abs/2110.02037; Uria et al., A Deep and Tractable Density Estimator, 2014. https://arxiv.org/abs/1310.1757
Several codes at once: Chang et al., MaskGIT, 2022, section 3.2 (confidence) and 3.3 (the cosine schedule). https://arxiv.org/abs/2202.04200
"""

import math

import torch
from torch import Generator, Tensor, nn

from lit_models.nn.transformer import Block, draw_from
from lit_models.sampling.evaluation_mode import without_dropout
from lit_models.sampling.labels import labels_for
from lit_models.sampling.temperature import checked_temperature, tempered

STEPS = 5  # of 2 to 16, those with the least mean log(1 + KID) of the shipped VQ-VAE on validation images of MNIST
PASSES = 8  # masks per image in an evaluation
TABLE = 64  # different sets of these masks


def random_masks(share: Tensor, noise: Tensor) -> Tensor:
    """Masks (..., P) with the same chance for every number of masked positions from 1 to P, and for every set of that number.

    Args:
        share: Uniform in [0, 1), (...,): it decides the number.
        noise: Uniform in [0, 1), (..., P): its ranks decide the positions.
    """
    number = 1 + (share * noise.shape[-1]).floor()
    return noise.argsort(dim=-1).argsort(dim=-1) < number[..., None]


def known_after(positions: int, steps: int) -> list[int]:
    """The number of codes that are known after each step: more and more per step, by MaskGIT's cosine, and at least one.

    Raises:
        ValueError: If there is less than one step.
    """
    if steps < 1:
        raise ValueError(f"steps expected at least 1, got {steps}: {STEPS} is the default")
    steps = min(steps, positions)
    return [max(step, math.floor(positions * (1 - math.cos(math.pi / 2 * step / steps)) + 1e-9)) for step in range(1, steps + 1)]


class MaskedPrior(nn.Module):
    """Transformer over `length` codes out of `n_codes` and the mask, given one of `classes` labels.

    It is a `lit_models.contracts.CodeDistribution` over indices (B, length).
    """

    name = "masked"

    def __init__(
        self, n_codes: int, length: int, classes: int, width: int = 128, layers: int = 3, heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got width {width} and heads {heads}")
        self.length, self.classes, self.mask = length, classes, n_codes
        self.embed_class, self.embed_code = nn.Embedding(classes, width), nn.Embedding(n_codes + 1, width)
        self.position = nn.Parameter(torch.empty(1 + length, width).normal_(std=0.02))
        self.blocks = nn.ModuleList(Block(width, heads, dropout, causal=False) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, n_codes)
        self.dropout = nn.Dropout(dropout)
        for embedding in (self.embed_class, self.embed_code):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Logits of the codes at all positions, (B, P) and (B,) to (B, P, K); a masked code is `mask`, which is K.

        The logits at a position that is not masked have no meaning.
        """
        tokens = self.dropout(torch.cat([self.embed_class(labels)[:, None], self.embed_code(codes)], dim=1) + self.position)
        for block in self.blocks:
            tokens, _ = block(tokens)
        return self.head(self.dropout(self.norm(tokens[:, 1:])))

    def masked_nats(self, codes: Tensor, labels: Tensor, masked: Tensor) -> Tensor:
        """P times the mean nats of the codes at masked positions, (B, P), (B,) and (B, P) to (B,)."""
        logits = self(codes.masked_fill(masked, self.mask), labels)
        nats = -logits.log_softmax(dim=-1).gather(2, codes[..., None])[..., 0]  # (B, P)
        return self.length * (nats * masked).sum(dim=1) / masked.sum(dim=1)

    def loss(self, codes: Tensor, labels: Tensor) -> Tensor:
        """An estimate of the any-order bound from one mask per image, in nats, (B, P) and (B,) to (B,). Its expectation is the bound.

        Masks come from torch's default generator. Their numbers are spread evenly over the batch, which makes the mean less noisy
        (the low-discrepancy sampler of Kingma et al., Variational Diffusion Models, 2021, https://arxiv.org/abs/2107.00630).
        """
        each = torch.arange(len(codes), device=codes.device) / len(codes)
        share = (torch.rand((), device=codes.device) + each) % 1
        return self.masked_nats(codes, labels, random_masks(share, torch.rand(codes.shape, device=codes.device)))

    def log_density(self, codes: Tensor, labels: Tensor, passes: int = PASSES) -> Tensor:
        """An estimate of the any-order bound on the log-probability of indices (B, P) given labels (B,), in nats, (B,).

        It is the mean over `passes` masks, whose numbers of positions are spread evenly over 1 to P. The masks come from a table with a
        seed of its own. The sum of an image's codes chooses its row. So the value of an image is always the same, whatever the batch, and
        the errors of different images differ: in their mean they vanish. No random state is used or changed.
        """
        generator = Generator().manual_seed(0)
        share = (torch.arange(passes) + torch.rand(TABLE, passes, generator=generator)) / passes
        masks = random_masks(share, torch.rand(TABLE, passes, self.length, generator=generator))
        own = masks.to(codes.device)[codes.sum(dim=1) % TABLE]  # (B, passes, P)
        return -torch.stack([self.masked_nats(codes, labels, own[:, number]) for number in range(passes)]).mean(dim=0)

    def draw(
        self,
        n: int,
        labels: Tensor | int | None = None,
        generator: Generator | None = None,
        temperature: float = 1.0,
        *,
        steps: int = STEPS,
    ) -> Tensor:
        """Indices of `n` new images, (n, P), drawn by `fill`. Without labels, labels are drawn uniformly (the VQ-VAE gives labels)."""
        asked = labels_for(n, labels, self.classes)
        if asked is None:
            asked = torch.randint(self.classes, (n,), generator=generator)
        nothing = torch.zeros(n, self.length, dtype=torch.long, device=self.position.device)
        return self.fill(nothing, torch.ones(self.length, dtype=torch.bool), asked, generator, temperature, steps=steps)

    @torch.no_grad()
    def fill(
        self,
        codes: Tensor,
        masked: Tensor,
        labels: Tensor,
        generator: Generator | None = None,
        temperature: float = 1.0,
        *,
        steps: int = STEPS,
    ) -> Tensor:
        """Codes whose masked positions are drawn given the others, (n, P).

        With as many steps as masked positions (more change nothing), codes are drawn one by one in a random order, another one for each
        image: an exact draw from the any-order distribution. With fewer steps, each step draws all codes that are missing and keeps those
        that the network is surest of, by log-probability plus Gumbel noise that falls to 0 in the last step, as MaskGIT does. Such samples
        are no exact draws: they vary less, and look better as long as the network is not well trained.

        Args:
            codes: (n, P). Masked positions may hold anything.
            masked: Booleans, (P,).
            labels: (n,).
            generator: On the CPU.
            temperature: The logits are divided by it.
            steps: The number of passes through the network.
        Raises:
            ValueError: If there is less than one step, or if the temperature is not finite and above 0.
        """
        temperature, device = checked_temperature(temperature), self.position.device
        places, n = masked.nonzero()[:, 0].to(device), len(codes)
        schedule, order = known_after(len(places), steps), torch.rand(n, len(places), generator=generator).to(device)
        codes, labels = codes.to(device).masked_fill(masked.to(device), self.mask), labels.to(device)
        with without_dropout(self):
            known = 0
            for step, after in enumerate(schedule, start=1):
                logits = self(codes, labels)[:, places]
                drawn = draw_from(tempered(logits.flatten(0, 1), temperature), generator).view(n, len(places))
                if len(schedule) < len(places):
                    gumbel = -torch.empty(n, len(places)).exponential_(generator=generator).log().to(device)
                    order = logits.log_softmax(dim=-1).gather(2, drawn[..., None])[..., 0] + (1 - step / len(schedule)) * gumbel
                now = order.masked_fill(codes[:, places] != self.mask, -math.inf).topk(after - known, dim=1).indices
                known = after
                codes = codes.scatter(1, places[now], drawn.gather(1, now))
        return codes
