"""Panels: rows of gray, prediction and truth in one picture."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import make_grid

from colorization.color import gray_ab, rgb_to_lightness
from colorization.imagefiles import write_picture
from colorization.metrics.scores import render

# In pixels: maximum side of a picture in a grid, minimum width of a column, font size, and margin.
_CELL = 384
_NARROWEST = 128
_WRITING = 14
_MARGIN = 4


def make_panel(predicted: Tensor, truth: Tensor) -> Tensor:
    """Rows of gray, prediction and truth.

    Args:
        predicted: uint8 RGB `(B, 3, H, W)`.
        truth: uint8 RGB `(B, 3, H, W)`.

    Returns:
        uint8 RGB `(3, B * H + margins, 3 * W + margins)`.
    """
    cells = torch.stack((gray_of(truth), predicted, truth), dim=1).flatten(0, 1)
    return make_grid(cells, nrow=3, padding=4, pad_value=255)


def gray_of(truth: Tensor) -> Tensor:
    """The network's input as pictures: uint8 RGB `(B, 3, H, W)` to gray RGB of the same shape."""
    lightness = rgb_to_lightness(truth)
    return render(lightness, gray_ab(lightness))


def write_panel(panel: Tensor, path: Path) -> None:
    """Writes a uint8 RGB `(3, H, W)` panel as a picture file."""
    write_picture(Image.fromarray(panel.permute(1, 2, 0).contiguous().numpy()), path)


def make_titled_grid(rows: Sequence[Sequence[Tensor]], titles: Sequence[str], captions: Sequence[str]) -> Image.Image:
    """Pictures in rows, with a title over each column and a caption over each row.

    Args:
        rows: the pictures of each row, uint8 RGB `(3, H, W)` of any size; larger ones are scaled down to a cell.
        titles: column titles, of one line or several.
        captions: row captions.
    """
    font = ImageFont.load_default(_WRITING)
    pictures = [[_to_image(picture) for picture in row] for row in rows]
    width = max(_NARROWEST, *(picture.width for row in pictures for picture in row)) + _MARGIN
    line = _WRITING + 2 * _MARGIN
    heights = [max(picture.height for picture in row) + line for row in pictures]
    top = max(len(title.splitlines()) for title in titles) * line
    grid = Image.new("RGB", (width * len(titles) + _MARGIN, top + sum(heights) + _MARGIN), "white")
    draw = ImageDraw.Draw(grid)
    for column, title in enumerate(titles):
        for number, text in enumerate(title.splitlines()):
            place = (_MARGIN + column * width, _MARGIN + number * line)
            draw.text(place, _shortened(text, width - _MARGIN, font), "black", font)
    for row, caption, height in zip(pictures, captions, heights, strict=True):
        draw.text((_MARGIN, top + _MARGIN), _shortened(caption, grid.width - 2 * _MARGIN, font), "black", font)
        for column, picture in enumerate(row):
            grid.paste(picture, (_MARGIN + column * width, top + line))
        top += height
    return grid


def _to_image(picture: Tensor) -> Image.Image:
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    image.thumbnail((_CELL, _CELL), Image.Resampling.LANCZOS)
    return image


def _shortened(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """A text cut to a width by leaving out its middle: names mostly differ at their ends."""
    text = text.encode("utf-8", "replace").decode()  # a file name may hold bytes that are not UTF-8
    kept, half = text, len(text) // 2
    while half > 0 and font.getlength(kept) > width:
        half -= 1
        kept = f"{text[:half]}…{text[len(text) - half :]}"
    return kept
