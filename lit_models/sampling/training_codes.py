"""Codes and labels of fixed training images, stored with the weights that encoded them.

Class centroids and densities over codes are fitted to them on demand, so that a checkpoint alone can be sampled. The callback
`KeepTrainingCodes` fills them in.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lit_models.sampling.densities import CodeDensity, DensityName, fit_density, standard_normal


class TrainingCodes(nn.Module):
    """The codes are part of the state in the checkpoint, but no buffers: DDP would broadcast 10,000 codes at every step.

    `codes` holds codebook indices (N, H, W) for a model with a codebook, and codes (N, ...) for other models; `labels` is (N,), and -1
    where no label is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.codes: Tensor | None = None
        self.labels: Tensor | None = None
        self.densities: dict[str, CodeDensity] = {}

    def __len__(self) -> int:
        return 0 if self.labels is None else len(self.labels)

    def keep(self, codes: Tensor, labels: Tensor | None) -> None:
        """Store codes and labels on the CPU; small integers take as few bytes as hold them."""
        if not codes.is_floating_point():
            codes = codes.to(torch.uint8 if codes.max() < 256 else torch.int16)
        self.codes = codes.detach().cpu()
        self.labels = (
            torch.full((len(codes),), -1, dtype=torch.int8)
            if labels is None
            else labels.to("cpu", torch.uint8 if labels.max() < 256 else torch.int16)
        )
        self.densities.clear()

    def get(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Codes and labels; RuntimeError if none are stored yet."""
        if self.codes is None or self.labels is None:
            raise RuntimeError(
                "no codes of training images are stored in this model: train it, and let its configure_callbacks return KeepTrainingCodes()"
            )
        codes = self.codes if self.codes.is_floating_point() else self.codes.long()
        return codes.to(device), self.labels.long().to(device)

    def get_extra_state(self) -> dict[str, Any]:
        return {} if self.codes is None else {"codes": self.codes, "labels": self.labels}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.codes, self.labels = state.get("codes"), state.get("labels")
        self.densities.clear()

    def density(self, name: DensityName, width: int, classes: int | None) -> CodeDensity:
        """The density of this name over codes of `width` numbers, of images with this number of classes.

        It is fitted when it is first asked for, and never stored.
        """
        if name not in self.densities:
            self.densities[name] = standard_normal(width) if name == "normal" else fit_density(name, *self.get(), classes)
        return self.densities[name]
