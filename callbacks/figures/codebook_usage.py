"""The use of a codebook."""

from textwrap import fill
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure as Plot

from callbacks.figures.figure import Drawn, Figure, caption
from callbacks.figures.picture import plot_picture
from lit_models.contracts import HasCodebook
from lit_models.training.batches import images_of
from lit_models.training.distributed import reduce_over_processes


class CodebookUsage(Figure):
    r"""Use of each code over the whole validation or test set: the use within a batch depends on its size.

    Logs the share of codes that occur, `codes_used` in [0, 1], and the perplexity :math:`\exp(-\sum_k p_k \log p_k)`,
    from 1 to the size of the codebook.
    """

    needs = (HasCodebook,)

    def _start(self, pl_module: LightningModule) -> None:
        self.counts = torch.zeros(pl_module.n_codes, dtype=torch.long, device=pl_module.device)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.missing:
            self._start(pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:  # fmt: skip
        if not self.missing:
            self._count(pl_module, batch)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:  # fmt: skip
        self._count(pl_module, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.missing:
            self._log(pl_module, "val")
            super().on_validation_epoch_end(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(pl_module, "test")

    def _count(self, pl_module: LightningModule, batch: Any) -> None:
        self.counts += torch.bincount(pl_module.indices(images_of(pl_module, batch)[0]).flatten(), minlength=len(self.counts))

    def _log(self, pl_module: LightningModule, stage: str) -> None:
        reduce_over_processes(self.counts)
        share = self.counts / self.counts.sum()
        perplexity = torch.special.entr(share).sum().exp()
        # The counts are over all processes already: `sync_dist` averages equal numbers.
        used = {f"{stage}/codes_used": (self.counts > 0).float().mean(), f"{stage}/perplexity": perplexity}
        pl_module.log_dict(used, sync_dist=True)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        counts = self.counts.sort(descending=True).values.cpu().numpy()
        plot = Plot(figsize=(6, 3), layout="constrained")
        panel = plot.subplots()
        panel.bar(range(len(counts)), counts / counts.sum(), width=1.0)
        panel.axhline(1 / len(counts), color="black", linewidth=0.8, linestyle="--")
        title = fill(caption(trainer, f"{(counts > 0).sum()} of {len(counts)} codes in use on validation"), 56)
        panel.set(xlabel="codes, most used first", ylabel="share of positions", title=title)
        yield "codebook/usage", plot_picture(plot)
