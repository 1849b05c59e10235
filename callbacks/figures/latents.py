"""The codes of training images in two dimensions."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.colors import hsv_to_rgb, to_hex, to_rgb
from matplotlib.figure import Figure as Plot
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor
from torch.nn.functional import avg_pool2d

from callbacks.figures.classes import MOST, shown_classes
from callbacks.figures.figure import Drawn, Figure, caption, validation_images
from callbacks.figures.picture import plot_picture
from lit_models.contracts import CanEncode, HasTrainingCodes
from lit_models.sampling.class_places import class_count, code_vectors
from lit_models.training.fixed_images import class_names_of

LONGEST = 14  # letters of a name at a centroid


class Latents(Figure):
    """One point per image, coloured by class, with each class centroid marked by the name of the class.

    Only the centroids of the first ten of more classes are marked. Images without labels have one colour and no mark.

    Codes of two or three numbers are shown as they are, and a code of one number against its rank. At the end of training the codes of
    validation images go to TensorBoard's embedding projector, with thumbnails in the colours of their classes.

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
        plot = Plot(figsize=(5.5, 4.5), layout="constrained")
        panel = plot.subplots(subplot_kw={"projection": "3d"} if flat.shape[1] == 3 else {})
        marked = mark_classes(panel, flat, classes, names_of_labels(trainer, pl_module, labels))
        some = f", first {marked} of {len(set(classes.tolist()))} classes named" if marked < len(set(classes.tolist()) - {-1}) else ""
        sides = dict(zip(("xlabel", "ylabel", "zlabel"), axes, strict=False))
        panel.set(**sides, title=fill(caption(trainer, f"codes of {len(flat)} training images{some}"), 46))
        shape = {1: "line", 2: "plane", 3: "space"}.get(points.shape[1], self.method)
        yield f"latents/{shape}", plot_picture(plot)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if self.missing or not (self.projector and boards and trainer.is_global_zero and trainer.enable_validation):
            return
        with self.observing(pl_module):
            images, labels = validation_images(trainer, pl_module, self.projector)
            codes = torch.cat([pl_module.encode(part) for part in images.split(500)])
            thumbnails = small(images.cpu())
            coloured = thumbnails if images.shape[1] == 3 else 1 - thumbnails  # dark on light, as the background is
            step = trainer.fit_loop.epoch_loop._batches_that_stepped
            names = None
            if labels is not None:
                known = class_names_of(trainer, int(labels.max()) + 1)
                names = [known[label] for label in labels.tolist()]
                coloured = in_colours(thumbnails, [colour_of(label, len(known)) for label in labels.tolist()])
            for logger in boards:
                logger.experiment.add_embedding(codes.flatten(1).cpu(), names, coloured, step, tag="codes")


def names_of_labels(trainer: Trainer, pl_module: LightningModule, labels: Tensor) -> tuple[str, ...]:
    """The names of the classes; none for images without labels."""
    if len(labels) == 0 or labels.min() < 0:
        return ()
    return class_names_of(trainer, max(class_count(pl_module, labels), int(labels.max()) + 1))


def mark_classes(panel: Any, points: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> int:
    """Draw points in the colours of their classes, and the names of at most ten classes at their centroids.

    Returns:
        The number of classes that are named.
    """
    occurring = sorted(set(labels.tolist()))
    shown = [occurring[place] for place in shown_classes(len(occurring))]
    colours = {label: colour_of(label, len(names)) for label in occurring}
    if len(occurring) > MOST:  # all at once, or the class drawn last would cover the others
        panel.scatter(*points.T, s=9, color=[colours[label] for label in labels.tolist()], alpha=0.6, linewidths=0)
    for label in shown:
        own = points[labels == label]
        if len(occurring) <= MOST:
            panel.scatter(*own.T, s=9, color=colours[label], alpha=0.6, linewidths=0)
        if label >= 0:
            style = "circle" if len(names[label]) <= 2 else "round"
            mark = {"boxstyle": style, "facecolor": colours[label], "edgecolor": "black"}
            name = names[label] if len(names[label]) <= LONGEST else f"{names[label][: LONGEST - 1]}…"
            place = (*own.mean(axis=0), name)  # three numbers in space
            panel.text(*place, ha="center", va="center", color="white", weight="bold", bbox=mark, parse_math=False)
    return len(shown) if names else 0


def colour_of(label: int, classes: int) -> str:
    """The colour of a class: that of matplotlib for up to ten of them, else a hue."""
    return to_hex(f"C{max(label, 0)}" if classes <= MOST else hsv_to_rgb((label / classes, 0.9, 0.8)))


def in_colours(images: Tensor, colours: Sequence[str]) -> Tensor:
    """Images in the colours of their classes, (N, 3, H, W): grey ones in coloured ink on white, coloured ones in a frame.

    TensorBoard's projector has no colour map when it opens.
    """
    ink = torch.tensor([to_rgb(colour) for colour in colours])[:, :, None, None]
    if images.shape[1] == 1:
        return 1 - images * (1 - ink)
    framed = ink.expand_as(images).clone()
    framed[..., 2:-2, 2:-2] = images[..., 2:-2, 2:-2]
    return framed


def small(images: Tensor) -> Tensor:
    """Thumbnails of a side of at most 32, by averages: TensorBoard puts all of them into one picture."""
    factor = -(-images.shape[-1] // 32)
    return avg_pool2d(images, factor) if factor > 1 else images
