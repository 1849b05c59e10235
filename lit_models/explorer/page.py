"""The page: what it knows of a model, and the file that it is.

Everything is inside one file: weights in half precision (packed by gzip), the codes of images and their thumbnails, and a small program
that runs the model's graphs. It asks no network for anything.
"""

import base64
import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor

from lit_models.contracts import CanDecode, HasAnchors, HasCodebook, HasTrainingCodes
from lit_models.explorer.graph_json import Weights, graph_json
from lit_models.nn.graphs import graphs_of, noting_codes
from lit_models.sampling.class_places import class_means, class_places, class_spreads, code_vectors

FOLDER = Path(__file__).parent
POINTS = 800  # codes on the map
THUMBNAIL = 28  # pixels: the longest side
USED = ("decode", "lookup", "logits", "start", "velocity")
PROGRAM = ("tensors", "operations", "state", "map", "controls", "start")
OPERATIONS = frozenset(re.findall(r"^  ([A-Z]\w+): ", (FOLDER / "operations.js").read_text(), flags=re.MULTILINE))


@torch.no_grad()
def knowledge_of(
    given: LightningModule, title: str, weights: Weights, class_names: tuple[str, ...] = (), points: int = POINTS
) -> dict[str, Any]:
    """What the page knows of a model, as JSON.

    Args:
        given: The model, with its weights on the CPU.
        title: Of the model's section on the page.
        weights: Those of the page, to which the model's own are added.
        class_names: One name per class; numbers stand in for them.
        points: Number of codes on the map.
    Raises:
        ValueError: If the model decodes no codes, or if one of its graphs has an operation that the page cannot run.
    """
    model: Any = given  # which attributes it has, its verbs tell
    if not isinstance(model, CanDecode):
        raise ValueError(f"expected a model that decodes codes\ngot {type(model).__name__}, which lacks decode")
    given.eval()
    graphs = {}
    for name, graph in graphs_of(model).items():
        if name in USED:
            graphs[name] = graph_json(graph, name, weights)
            unknown = {node[0] for node in graphs[name]["nodes"]} - OPERATIONS
            if unknown:
                raise ValueError(f"expected operations that the page can run\ngot {', '.join(sorted(unknown))} in {name}")
    codes, labels = codes_and_labels(model, points)
    images = torch.cat([model.decode(part) for part in codes.split(200)])
    flat = codes.flatten(1).numpy()
    mean, axes, places = plane_of(flat)
    known = {
        "title": title,
        "image": list(images.shape[1:]),
        "shape": list(codes.shape[1:]),
        "classes": names_of(class_names, labels),
        "graphs": graphs,
        "points": places.round(4).tolist(),
        "labels": labels.tolist(),
        "mean": mean.astype(float).round(5).tolist(),
        "axes": axes.astype(float).round(5).tolist(),
        "codes": weights.add(flat),
        "sprite": sprite(images),
        "places": class_noise(model, codes, labels),
    }
    if isinstance(model, HasCodebook):
        known |= {"indices": {"count": model.n_codes, "grid": list(codes.shape[-2:])}}
        if "logits" in graphs:
            known["indices"]["prior"] = str(getattr(given.prior, "name", ""))
    prior = getattr(given, "prior", None)
    if "velocity" in graphs and prior is not None:
        known["flow"] = {"classes": prior.classes, "width": prior.width}
    return known


def codes_and_labels(model: Any, n: int) -> tuple[Tensor, Tensor]:
    """Codes of training images or, without an encoder, those that samples are decoded from; a label of -1 is not known."""
    if isinstance(model, HasTrainingCodes) and len(model.training_codes):
        codes, labels = code_vectors(model)
        return codes[:n].float(), labels[:n]
    asked = None if model.classes is None else torch.arange(n) % model.classes
    with noting_codes(model) as given:
        model.sample(n, asked, torch.Generator().manual_seed(0))
    return torch.cat(given)[:n].float(), torch.full((n,), -1) if asked is None else asked


def plane_of(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The plane of the map: its origin (D,), its two directions (2, D), and the places of codes (N, D) in it, (N, 2).

    A code of two numbers is its place. A code of one number has its class's order as second number, which means nothing.
    """
    width = codes.shape[1]
    if width == 1:
        jitter = np.random.default_rng(0).uniform(-1, 1, len(codes))
        return np.zeros(1), np.array([[1.0], [0.0]]), np.stack([codes[:, 0], jitter], axis=1)
    if width == 2:
        return np.zeros(2), np.eye(2), codes
    pca = PCA(2, svd_solver="covariance_eigh").fit(codes.astype(np.float64))
    return pca.mean_, pca.components_, pca.transform(codes.astype(np.float64))


def class_noise(model: LightningModule, codes: Tensor, labels: Tensor) -> dict[str, Any] | None:
    """The place of each class and the unit of noise about it; None without labels."""
    if isinstance(model, HasAnchors) or (isinstance(model, HasTrainingCodes) and len(labels) and labels.min() >= 0):
        centres, units, unit = class_places(model)
    elif len(labels) and labels.min() >= 0:
        classes = int(labels.max()) + 1
        centres, units, unit = class_means(codes, labels, classes), class_spreads(codes, labels, classes), "class spreads"
    else:
        return None
    numbers = [part.flatten(1).nan_to_num(0).double().numpy().round(5).tolist() for part in (centres, units)]
    return {"centres": numbers[0], "units": numbers[1], "unit": unit, "anchors": isinstance(model, HasAnchors)}


def names_of(class_names: tuple[str, ...], labels: Tensor) -> list[str]:
    classes = int(labels.max()) + 1 if len(labels) else 0
    return list(class_names[:classes]) if len(class_names) >= classes else [str(label) for label in range(classes)]


def sprite(images: Tensor) -> dict[str, Any]:
    """Thumbnails in one picture, 40 in a row."""
    step = -(-max(images.shape[-2:]) // THUMBNAIL)
    small = torch.nn.functional.avg_pool2d(images, step) if step > 1 else images
    count, channels, high, wide = small.shape
    columns = 40
    rows = -(-count // columns)
    sheet = torch.zeros(channels, rows * high, columns * wide)
    for number, image in enumerate(small):
        top, left = number // columns * high, number % columns * wide
        sheet[:, top : top + high, left : left + wide] = image
    array = (255 * sheet.clamp(0, 1)).round().byte().numpy()
    picture, file = Image.fromarray(array[0] if channels == 1 else array.transpose(1, 2, 0)), io.BytesIO()
    picture.save(file, format="png", optimize=True)
    return {"uri": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}", "columns": columns, "size": [high, wide]}


def page(models: list[dict[str, Any]], weights: Weights, title: str) -> str:
    """The page of one or several models, of which it shows one at a time."""
    words = {
        "TITLE": title.replace("&", "&amp;").replace("<", "&lt;"),
        "STYLE": (FOLDER / "style.css").read_text(),
        "KNOWLEDGE": json.dumps({"models": models, "weights": packed(weights)}, separators=(",", ":")).replace("</", "<\\/"),
        "PROGRAM": "\n".join((FOLDER / f"{name}.js").read_text() for name in PROGRAM),
    }
    html = (FOLDER / "page.html").read_text()
    for name, text in words.items():
        html = html.replace(f"%%{name}%%", text)
    return html


def packed(weights: Weights) -> str:
    """Weights as text: half precision, gzip, base64."""
    return base64.b64encode(gzip.compress(weights.tobytes(), 9, mtime=0)).decode()
