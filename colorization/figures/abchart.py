"""Charts of how often each colour of the ab plane occurs."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from colorization.color import rgb_to_lab
from colorization.imagefiles import write_picture

# Range of the ab plane, and side of a cell of the histogram, in Lab units.
REACH = 110
CELL = 2
CELLS = 2 * REACH // CELL

_CELL_SIDE = 6  # px
_PLOT = CELLS * _CELL_SIDE
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 60, 130, 60
_TICK = 20
_DECADES = 6  # from the most frequent cell down
_PALE, _DARK = np.array([222, 226, 236]), np.array([20, 24, 64])


def cells_of(ab: np.ndarray) -> np.ndarray:
    """Indices of the histogram cells of integer ab `(2, ...)` in Lab units, flat, row by row from -b."""
    column, row = (np.clip((ab.astype(np.int64) + REACH) // CELL, 0, CELLS - 1)).reshape(2, -1)
    return row * CELLS + column


def draw_prior(counts: np.ndarray, title: str, path: Path) -> None:
    """Draws a histogram of the ab plane into a PNG file, see `draw_density`."""
    write_picture(draw_density(shares_of(counts), title), path)


def shares_of(counts: np.ndarray) -> np.ndarray:
    """Counts of pixels to shares of all of them; zeros if there are none."""
    return counts / max(counts.sum(), 1)


def draw_density(shares: np.ndarray, title: str, most: float | None = None) -> Image.Image:
    """Draws a histogram of the ab plane with a logarithmic scale: the darker a cell, the more pixels. An outline shows
    the largest chroma of sRGB in every hue.

    Args:
        shares: share of all pixels in each cell, as numbered by `cells_of`, `(CELLS * CELLS,)`.
        title: text above the chart.
        most: the share that is darkest; None: the maximum.
    """
    if most is None:
        most = float(shares.max(initial=1e-12))
    image = Image.new("RGB", (_LEFT + _PLOT + _RIGHT, _TOP + _PLOT + _BOTTOM), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(16)
    plot = Image.fromarray(_shades(shares.reshape(CELLS, CELLS)[::-1], most))  # b grows upwards
    image.paste(plot.resize((_PLOT, _PLOT), Image.Resampling.NEAREST), (_LEFT, _TOP))

    draw.text((_LEFT, 20), title, fill="black", font=font)
    for value in range(-REACH + REACH % _TICK, REACH, _TICK):
        x, y = _place(value, value)
        line = "#999999" if value == 0 else "#eeeeee"
        _behind(draw, image, [(x, _TOP, x, _TOP + _PLOT - 1), (_LEFT, y, _LEFT + _PLOT - 1, y)], line)
        draw.text((x, _TOP + _PLOT + 6), str(value), fill="black", font=font, anchor="mt")
        draw.text((_LEFT - 8, y), str(value), fill="black", font=font, anchor="rm")
    draw.rectangle((_LEFT, _TOP, _LEFT + _PLOT, _TOP + _PLOT), outline="black")
    draw.text((_LEFT + _PLOT / 2, _TOP + _PLOT + 36), "a", fill="black", font=font, anchor="mm")
    draw.text((20, _TOP + _PLOT / 2), "b", fill="black", font=font, anchor="mm")
    _draw_outline(draw)
    _draw_scale(image, draw, font, most)
    return image


def _shades(shares: np.ndarray, most: float) -> np.ndarray:
    """Shares to RGB; white for none, and for shares below the range of the scale."""
    with np.errstate(divide="ignore"):
        strength = 1 + np.log10(shares / most) / _DECADES
    shaded = _PALE + np.clip(strength, 0, 1)[..., None] * (_DARK - _PALE)
    return np.where((strength >= 0)[..., None], shaded, 255).round().astype(np.uint8)


def _place(a: float, b: float) -> tuple[float, float]:
    """Position of a point of the ab plane in the picture, px."""
    per_unit = _CELL_SIDE / CELL
    return _LEFT + (a + REACH) * per_unit, _TOP + (REACH - b) * per_unit


def _behind(draw: ImageDraw.ImageDraw, image: Image.Image, lines: list[tuple[float, ...]], color: str) -> None:
    """Draws lines behind the chart: only on white pixels."""
    layer = Image.new("RGB", image.size, "white")
    for line in lines:
        ImageDraw.Draw(layer).line(line, fill=color)
    white = Image.fromarray((np.asarray(image).min(axis=-1) == 255).astype(np.uint8) * 255)
    image.paste(layer, mask=white)


def _draw_outline(draw: ImageDraw.ImageDraw) -> None:
    # For each hue, chroma is greatest on the six edges of the RGB cube that touch neither black nor white.
    corners = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0)]
    steps = torch.linspace(0, 1, 40).unsqueeze(1)
    edges = [torch.lerp(torch.tensor(one).float(), torch.tensor(two).float(), steps) for one, two in pairwise(corners)]
    rgb = torch.cat(edges)
    ab = rgb_to_lab(rgb.T.unsqueeze(-1))[1:].squeeze(-1).T
    places = [_place(float(a), float(b)) for a, b in ab]
    for (start, end), color in zip(pairwise(places), rgb, strict=False):
        draw.line((*start, *end), fill=tuple(int(255 * value) for value in color), width=3)


def _draw_scale(
    image: Image.Image, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, most: float
) -> None:
    height = _PLOT // 2
    column = _shades(most * 10.0 ** -np.linspace(0, _DECADES, height)[:, None], most)
    left = _LEFT + _PLOT + 20
    image.paste(Image.fromarray(column).resize((20, height)), (left, _TOP))
    for decade in range(0, _DECADES + 1, 2):
        text = f"{most * 10.0**-decade:.0e}"
        draw.text((left + 26, _TOP + decade / _DECADES * height), text, fill="black", font=font, anchor="lm")
    draw.text((left, _TOP + height + 12), "share of\npixels", fill="black", font=font)
