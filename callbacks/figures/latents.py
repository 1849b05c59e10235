"""The codes of training images in two dimensions."""

from typing import Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure as Plot
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from callbacks.figures.figure import Drawn, Figure, caption, validation_images
from callbacks.figures.picture import plot_picture
from lit_models.contracts import CanEncode, HasTrainingCodes
from lit_models.sampling.class_places import code_vectors


class Latents(Figure):
    """One point per image, coloured by class, with each class centroid marked.

    Codes of two or three numbers are shown as they are, and a code of one number against its rank. At the end of training the codes of
    validation images go to TensorBoard's embedding projector, with thumbnails.

    Args:
        method: Projection of longer codes. t-SNE preserves neighbours, not distances, and takes half a minute.
        n: Points drawn, at most 10,000.
        projector: Points in the projector; 0 for none.
    """

    needs = (CanEncode, HasTrainingCodes)

    def __init__(self, method: Literal["pca", "tsne"] = "pca", n: int = 3000, projector: int = 1000, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.method, self.n, self.projector = method, n, projector

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> Drawn:
        codes, labels = code_vectors(pl_module)
        points, classes = codes[: self.n].flatten(1).cpu().double().numpy(), labels[: self.n].cpu().numpy()
        axes: tuple[str, ...]
        if points.shape[1] == 1:
            flat, axes = np.stack([points[:, 0].argsort().argsort(), points[:, 0]], axis=1), ("rank", "code 1")
        elif points.shape[1] in (2, 3):
            flat, axes = points, ("code 1", "code 2", "code 3")[: points.shape[1]]
        elif self.method == "pca":
            pca = PCA(2, svd_solver="covariance_eigh").fit(points)
            flat = pca.transform(points)
            axes = tuple(f"PC {i + 1} ({share:.0%} of variance)" for i, share in enumerate(pca.explained_variance_ratio_))
        else:
            flat, axes = TSNE(2, init="pca", random_state=0).fit_transform(points), ("t-SNE 1", "t-SNE 2")
        plot = Plot(figsize=(7, 6), layout="constrained")
        panel = plot.subplots(subplot_kw={"projection": "3d"} if flat.shape[1] == 3 else {})
        for label in sorted(set(classes.tolist())):
            colour = f"C{max(label, 0)}"
            own = flat[classes == label]
            panel.scatter(*own.T, s=9, color=colour, alpha=0.6, linewidths=0)  # type: ignore[misc]
            mark = {"boxstyle": "circle", "facecolor": colour, "edgecolor": "black"}
            place = (*own.mean(axis=0), str(label) if label >= 0 else "")  # three numbers in space
            panel.text(*place, ha="center", va="center", color="white", weight="bold", bbox=mark)  # type: ignore[call-arg]
        names = dict(zip(("xlabel", "ylabel", "zlabel"), axes, strict=False))
        panel.set(**names, title=caption(trainer, f"codes of {len(flat)} training images"))
        shape = {1: "line", 2: "plane", 3: "space"}.get(points.shape[1], self.method)
        yield f"latents/{shape}", plot_picture(plot)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if self.missing or not (self.projector and boards and trainer.is_global_zero and trainer.enable_validation):
            return
        with self.observing(pl_module):
            images, labels = validation_images(trainer, pl_module, self.projector)
            codes = torch.cat([pl_module.encode(part) for part in images.split(500)])
            thumbnails = 1 - images.cpu()  # dark on light, as the projector's background is
            step = trainer.fit_loop.epoch_loop._batches_that_stepped
            names = None if labels is None else labels.tolist()
            for logger in boards:
                logger.experiment.add_embedding(codes.flatten(1).cpu(), names, thumbnails, step, tag="codes")
