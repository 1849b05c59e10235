"""Measures of samples while a model learns."""

import math

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d

from callbacks.observer import Observer
from lit_models.contracts import CanSample, HasWholeData
from lit_models.evaluation.judge import Judge, known_images, load_judge, shipped_judge
from lit_models.evaluation.sample_quality import SampleQuality, frechet_distance
from lit_models.training.fixed_images import data_name, fixed_images

LOGGED = ("recognisable", "fid", "control", "density", "coverage", "spread", "sharpness")


class GenerativeMetrics(Observer):
    """Logs the judge's measures of `n` samples after each validation, next to as many validation images; the noise is always the same.

    The measures have the names of `lit_models.evaluation.sample_quality`. For a data set without a judge, `val/fid` is over pixels,
    pooled to 7 x 7, and the others are left out, which is said when training begins. All data sets have `val/variance`, that of a pixel
    over the samples, relative to real images. If the measures fail, as with too few images, a warning says so once and `val/fid` is NaN.
    The judge lives outside the model: neither weights nor checkpoints contain it.
    """

    needs = (CanSample,)

    def __init__(self, n: int = 1000, seed: int = 0) -> None:
        if n < 100:
            raise ValueError(f"n expected at least 100 samples, which distances between sets need, got {n}")
        self.n, self.seed = n, seed
        self.judge: Judge | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage != "fit" or self.missing:
            return
        data, name = trainer.datamodule, data_name(trainer)
        file = shipped_judge(name)
        if file is not None and isinstance(data, HasWholeData):
            self.judge = load_judge(file, name, known_images(data.whole()))[0].to(pl_module.device)
        elif trainer.is_global_zero:
            print(f"judge    none for {name}: val/fid is over pixels, pooled to 7 x 7")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.is_due(trainer):
            return
        found = {"fid": torch.tensor(math.nan, device=pl_module.device)}
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
        if self.judge is None:
            distance = frechet_distance(49).to(samples.device)
            distance.sync_on_compute = False
            for given, real in ((images, True), (samples, False)):
                distance.update(avg_pool2d(given, 4).flatten(1), real=real)
            return {"fid": distance.compute()}
        real, drawn = (self.judge.assess(given) for given in (images, samples))
        quality = SampleQuality((real.features.shape[1], real.second.shape[1]), kid_subsets=0).to(samples.device)
        quality.compute_on_each_process()
        quality.update(images, real, real=True)
        quality.update(samples, drawn, real=False, asked=None if labels is None else labels.to(samples.device))
        found = quality.compute()
        return {name: found[name] for name in LOGGED if name in found}
