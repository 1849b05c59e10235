"""Pictures for figures: images side by side, enlarged and captioned, or a plot; as one uint8 array."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.utils import make_grid

MARGIN, LINE = 44, 18  # pixels: the column of row names, the line of a title


def grid_picture(
    images: Tensor, columns: int, title: str, rows: Sequence[str] = (), heads: Sequence[str] = (), scale: int = 2
) -> np.ndarray:
    """Images in rows of `columns` under a title; black is 0 and white is 1 whatever the images hold.

    Args:
        images: (N, 1, 28, 28) in [0, 1].
        rows, heads: Names of rows and columns, as many as there are.
        scale: Enlargement by whole pixels: TensorBoard smooths small pictures.
    Returns:
        (H, W, 3) uint8.
    """
    enlarged = interpolate(images.detach().float().cpu().nan_to_num(0).clamp(0, 1), scale_factor=scale, mode="nearest")
    tiles = make_grid(enlarged, nrow=columns, padding=2, pad_value=0.35)  # (3, H, W)
    array = (255 * tiles).round().byte().permute(1, 2, 0).numpy()
    font = ImageFont.load_default(size=12)
    left, top = (MARGIN if rows else 0), LINE * (2 if heads else 1) + 2
    width = max(left + array.shape[1], int(font.getlength(title)) + 8)
    canvas = Image.new("RGB", (width, top + array.shape[0]), "white")
    canvas.paste(Image.fromarray(array), (left, top))
    pen = ImageDraw.Draw(canvas)
    pen.text((3, 2), title, fill="black", font=font)
    step = 28 * scale + 2
    for number, name in enumerate(rows):
        pen.text((3, top + step * number + step // 2 - 6), name, fill="black", font=font)
    for number, name in enumerate(heads):
        pen.text((left + step * number + step // 2 - 3 * len(name), LINE), name, fill="black", font=font)
    return np.asarray(canvas)


def plot_picture(figure: Figure) -> np.ndarray:
    """A matplotlib figure as (H, W, 3) uint8. It has a canvas of its own, so that nothing needs closing."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
