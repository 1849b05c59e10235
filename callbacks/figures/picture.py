"""Pictures for figures: images side by side, enlarged and captioned, or a plot; as one uint8 array."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.utils import make_grid

MARGIN = 44  # pixels: the column of short row names
SHORT, LONG = 46, 150  # pixels: row names up to SHORT fit the margin; those above LONG are cut
CELL = 56  # pixels: the side to which small images are enlarged, roughly
NARROWEST = 240  # pixels of a picture: a title needs room
CARD = (340, 210)  # pixels: TensorBoard shrinks a picture to fit this room, without smoothing
READABLE = 10  # pixels: height of letters in such a card
SMALLEST, LARGEST = 12, 26  # pixels: height of letters in a picture

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def grid_picture(
    images: Tensor, columns: int, title: str, rows: Sequence[str] = (), heads: Sequence[str] = (), scale: int | None = None
) -> np.ndarray:
    """Images in rows of `columns` under a title; black is 0 and white is 1 whatever the images hold.

    Letters are as large as a card of TensorBoard needs, because it shrinks the picture.

    Args:
        images: Grey or coloured, (N, 1, H, W) or (N, 3, H, W), in [0, 1].
        rows, heads: Names of rows and columns, as many as there are. Long names are cut.
        scale: Enlargement by whole pixels. By default images of 14 are enlarged 4 times, those of 28 twice, and those of 56 and more not at
            all.
    Returns:
        (H, W, 3) uint8.
    """
    high, wide = images.shape[-2:]
    scale = scale or max(1, round(CELL / high))
    enlarged = interpolate(images.detach().float().cpu().nan_to_num(0).clamp(0, 1), scale_factor=scale, mode="nearest")
    tiles = make_grid(enlarged, nrow=columns, padding=2, pad_value=0.35)  # (3, H, W)
    array = (255 * tiles).round().byte().permute(1, 2, 0).numpy()
    down, right = high * scale + 2, wide * scale + 2
    size = letters(array.shape[1], array.shape[0])
    of_rows, of_heads = fitting(rows, size, LONG), fitting(heads, size, right)
    rows, heads = [cut(name, LONG, of_rows) for name in rows], [cut(name, right, of_heads) for name in heads]
    longest = max((of_rows.getlength(name) for name in rows), default=0)
    left = 0 if not rows else MARGIN if longest <= SHORT else int(longest) + 6
    font = ImageFont.load_default(size=size)
    width = max(left + array.shape[1], min(int(font.getlength(title)) + 8, NARROWEST))
    lines, line = wrapped(title, width - 6, font), size * 3 // 2
    top = line * (len(lines) + bool(heads)) + 2
    canvas = Image.new("RGB", (width, top + array.shape[0]), "white")
    canvas.paste(Image.fromarray(array), (left, top))
    pen = ImageDraw.Draw(canvas)
    for number, words in enumerate(lines):
        pen.text((3, 2 + number * line), words, fill="black", font=font)
    for number, name in enumerate(rows):
        pen.text((3, top + down * number + down // 2), name, fill="black", font=of_rows, anchor="lm")
    for number, name in enumerate(heads):
        pen.text((left + right * number + right // 2, top - 2), name, fill="black", font=of_heads, anchor="mb")
    return np.asarray(canvas)


def letters(width: int, height: int) -> int:
    """The height of letters that can be read when a picture of this size is shrunk to a card, in pixels."""
    shrunk = min(1, CARD[0] / width, CARD[1] / height)
    return round(min(max(READABLE / shrunk, SMALLEST), LARGEST))


def fitting(names: Sequence[str], size: int, width: int) -> Font:
    """The largest font up to `size` in which all names fit into `width` pixels; the smallest if none does."""
    fonts = [ImageFont.load_default(size=height) for height in range(size, SMALLEST, -1)]
    return next(
        (font for font in fonts if all(font.getlength(name) <= width for name in names)), ImageFont.load_default(size=min(size, SMALLEST))
    )


def wrapped(title: str, width: int, font: Font) -> list[str]:
    """A title in lines of at most `width` pixels. A word that is longer has a line of its own."""
    lines: list[str] = []
    for word in title.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


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
