"""Pictures for figures: images side by side, enlarged and captioned, or a plot; as one uint8 array."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.utils import make_grid

MARGIN, LINE = 44, 18  # pixels: the column of short row names, the line of a title
SHORT, LONG = 46, 150  # pixels: row names up to SHORT fit the margin; those above LONG are cut
CELL = 56  # pixels: the side to which small images are enlarged, roughly

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def grid_picture(
    images: Tensor, columns: int, title: str, rows: Sequence[str] = (), heads: Sequence[str] = (), scale: int | None = None
) -> np.ndarray:
    """Images in rows of `columns` under a title; black is 0 and white is 1 whatever the images hold.

    Args:
        images: Grey or coloured, (N, 1, H, W) or (N, 3, H, W), in [0, 1].
        rows, heads: Names of rows and columns, as many as there are. Long names are cut.
        scale: Enlargement by whole pixels: TensorBoard smooths small pictures. By default images of 14 are enlarged 4 times, those of 28
            twice, and those of 56 and more not at all.
    Returns:
        (H, W, 3) uint8.
    """
    high, wide = images.shape[-2:]
    scale = scale or max(1, round(CELL / high))
    enlarged = interpolate(images.detach().float().cpu().nan_to_num(0).clamp(0, 1), scale_factor=scale, mode="nearest")
    tiles = make_grid(enlarged, nrow=columns, padding=2, pad_value=0.35)  # (3, H, W)
    array = (255 * tiles).round().byte().permute(1, 2, 0).numpy()
    font = ImageFont.load_default(size=12)
    down, right = high * scale + 2, wide * scale + 2
    rows, heads = [cut(name, LONG, font) for name in rows], [cut(name, right, font) for name in heads]
    longest = max((font.getlength(name) for name in rows), default=0)
    left, top = (0 if not rows else MARGIN if longest <= SHORT else int(longest) + 6), LINE * (2 if heads else 1) + 2
    width = max(left + array.shape[1], int(font.getlength(title)) + 8)
    canvas = Image.new("RGB", (width, top + array.shape[0]), "white")
    canvas.paste(Image.fromarray(array), (left, top))
    pen = ImageDraw.Draw(canvas)
    pen.text((3, 2), title, fill="black", font=font)
    for number, name in enumerate(rows):
        pen.text((3, top + down * number + down // 2 - 6), name, fill="black", font=font)
    for number, name in enumerate(heads):
        pen.text((left + right * number + right // 2 - int(font.getlength(name) / 2), LINE), name, fill="black", font=font)
    return np.asarray(canvas)


def cut(name: str, width: int, font: Font) -> str:
    """The name, or as much of its beginning as fits into `width` pixels, and an ellipsis."""
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(f"{name}…") > width:
        name = name[:-1]
    return f"{name.rstrip()}…"


def plot_picture(figure: Figure) -> np.ndarray:
    """A matplotlib figure as (H, W, 3) uint8. It has a canvas of its own, so that nothing needs closing."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
