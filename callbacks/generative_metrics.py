"""Measures of samples while a model learns."""

import math

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.observer import Observer
from datamodules.contracts import HasWholeData
from lit_models.contracts import CanSample
from lit_models.evaluation import yardstick_files
from lit_models.evaluation.features import RandomConvolutions, Spaces, spaces_of
from lit_models.evaluation.judge import Judge, judge_in, known_images
from lit_models.evaluation.sample_quality import SampleQuality
from lit_models.training.fixed_images import data_name, fixed_images

LOGGED = (
    "recognisable",
    "kid",
    "kid_untrained",
    "fid",
    "fid_untrained",
    "control",
    "density",
    "coverage",
    "coverage_untrained",
    "spread",
    "sharpness",
)


class GenerativeMetrics(Observer):
    """Logs measures of `n` samples after each validation, next to as many validation images; the noise is always the same.

    The measures have the names of `lit_models.evaluation.sample_quality`. For a data set without a judge and trained spaces of features,
    distances are measured in the untrained space alone, and the judge's measures are left out, which is said when training begins. All
    data sets have `val/variance`, that of a pixel over the samples, relative to real images. If the measures fail, as with too few images,
    a warning says so once and `val/kid_untrained` is NaN. Judge and spaces live outside the model: neither weights nor checkpoints contain
    them, and no model is selected by them.
    """

    needs = (CanSample,)

    def __init__(self, n: int = 1000, seed: int = 0) -> None:
        if n < 100:
            raise ValueError(f"n expected at least 100 samples, which distances between sets need, got {n}")
        self.n, self.seed = n, seed
        self.judge: Judge | None = None
        self.spaces: Spaces | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage != "fit" or self.missing:
            return
        data, name = trainer.datamodule, data_name(trainer)
        dataset = getattr(data, "dataset", name)
        reason = f"none for {name}"
        try:
            found = (
                [yardstick_files.find(kind, dataset, data) for kind in yardstick_files.SHIPPED] if isinstance(data, HasWholeData) else []
            )
        except ValueError as error:  # measures of other images would mislead, and a training does not need them
            found, reason = [], f"not used: {' '.join(str(error).splitlines()[:2])}"
        if found and found[0] is not None and found[1] is not None:
            known = known_images(data.whole())
            self.judge = judge_in(found[0], dataset, known)[0].to(pl_module.device)
            self.spaces = spaces_of(dataset, known, data=data).to(pl_module.device)
        elif trainer.is_global_zero:
            print(f"judge    {reason}: distances are measured in the untrained space, val/kid_untrained")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.is_due(trainer):
            return
        found = {"kid_untrained": torch.tensor(math.nan, device=pl_module.device)}
        with self.observing(pl_module):
            images, _ = fixed_images(trainer, "val", self.n)
            labels = None if pl_module.classes is None else torch.arange(self.n) % pl_module.classes
            samples = pl_module.sample(self.n, labels, Generator().manual_seed(self.seed))
            images = images.to(samples)
            found["variance"] = samples.var(dim=0).sum() / images.var(dim=0).sum()
            found |= self._measure(images, samples, labels)
        # The same on all processes: the average of equal numbers.
        pl_module.log_dict({f"val/{name}": value.float() for name, value in found.items()}, sync_dist=True)

    def _measure(self, images: Tensor, samples: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        if self.spaces is None:
            self.spaces = Spaces({"untrained": RandomConvolutions(colours=images.shape[1])}, images).to(samples.device)
        asked = None if labels is None else labels.to(samples.device)
        classes = None if self.judge is None else self.judge.classes
        quality = SampleQuality(self.spaces.widths, classes=classes, image_shape=tuple(images.shape[1:])).to(samples.device)
        quality.compute_on_each_process()
        for given, real in ((images, True), (samples, False)):
            output = None if self.judge is None else self.judge.assess(given)
            quality.update(given, self.spaces(given), output, real, None if real else asked)
        found = quality.compute()
        return {name: found[name] for name in LOGGED if name in found}
