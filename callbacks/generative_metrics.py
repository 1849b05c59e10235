"""Measures of samples while a model learns."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d

from callbacks.figures.figure import check_needs, looking
from lit_models.contracts import CanSample
from lit_models.evaluation import SampleQuality
from lit_models.evaluation.judge import Judge, load_judge
from lit_models.evaluation.sample_quality import frechet_distance

LOGGED = ("valid", "control", "density", "coverage", "spread", "sharpness")


class GenerativeMetrics(Callback):
    """Logs, after each validation, what a judge says of `n` samples, the same noise every time, beside as many validation images.

    `val/frechet` is the Fréchet distance in the judge's features; the other measures have the names of `SampleQuality`. A
    data set without a judge has `val/frechet` over pixels, pooled to 7 x 7, and none of these; that is said when training begins. All have
    `val/variance`, that of a pixel over the samples, relative to real images'. The judge lives outside the model: neither weights nor
    checkpoints know of it.
    """

    def __init__(self, n: int = 1000, seed: int = 0) -> None:
        if n < 100:
            raise ValueError(f"n expected 100 samples at least, for distances of sets need as many, got {n}")
        self.n, self.seed = n, seed
        self.judge: Judge | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        check_needs("GenerativeMetrics", (CanSample,), trainer, pl_module)
        found = load_judge(trainer.datamodule.dataset, getattr(trainer.datamodule, "root", None))
        self.judge = found[0].to(pl_module.device) if found else None
        if found is None and trainer.is_global_zero:
            print(f"judge    none for {trainer.datamodule.dataset}: val/frechet is over pixels, pooled to 7 x 7")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        images, _ = trainer.datamodule.reference_images("val", self.n)
        labels = None if pl_module.classes is None else torch.arange(self.n) % pl_module.classes
        with looking(pl_module):
            samples = pl_module.sample(self.n, labels, Generator().manual_seed(self.seed))
            images = images.to(samples)
            found = self._measure(images, samples, labels) | {"variance": samples.var(dim=0).sum() / images.var(dim=0).sum()}
        # The same on all processes: the average of equal numbers.
        pl_module.log_dict({f"val/{name}": value.float() for name, value in found.items()}, sync_dist=True)

    def _measure(self, images: Tensor, samples: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        if self.judge is None:
            distance = frechet_distance(49).to(samples.device)
            distance.sync_on_compute = False
            for given, real in ((images, True), (samples, False)):
                distance.update(avg_pool2d(given, 4).flatten(1), real=real)
            return {"frechet": distance.compute()}
        seen = [self.judge.look(given) for given in (images, samples)]
        quality = SampleQuality((seen[0].features.shape[1], seen[0].second.shape[1]), kid_subsets=0).to(samples.device)
        quality.whole_on_each_process()
        quality.update(images, seen[0], real=True)
        quality.update(samples, seen[1], real=False, asked=None if labels is None else labels.to(samples.device))
        found = quality.compute()
        return {"frechet": found["fid"]} | {name: found[name] for name in LOGGED if name in found}
