"""Panels: rows of gray, prediction and truth in one picture."""

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from colorization.color import gray_ab, rgb_to_lightness
from colorization.metrics.scores import render

# In pixels: maximum side of a picture in a grid, the side that smaller ones are enlarged to, font size, and margin.
_CELL = 384
_SMALLEST = 192
_WRITING = 14
_MARGIN = 4
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def make_panel(predicted: Tensor, truth: Tensor) -> Image.Image:
    """Rows of gray, prediction and truth.

    Args:
        predicted: uint8 RGB `(B, 3, H, W)`.
        truth: uint8 RGB `(B, 3, H, W)`.
    """
    rows = torch.stack((gray_of(truth), predicted, truth), dim=1)
    return make_titled_grid([list(row) for row in rows], ["gray", "prediction", "truth"])


def gray_of(truth: Tensor) -> Tensor:
    """The network's input as pictures: uint8 RGB `(B, 3, H, W)` to gray RGB of the same shape."""
    lightness = rgb_to_lightness(truth)
    return render(lightness, gray_ab(lightness))


def make_titled_grid(
    rows: Sequence[Sequence[Tensor]], titles: Sequence[str], captions: Sequence[str] | None = None
) -> Image.Image:
    """Pictures in rows, with a title over each column and a caption over each row. Text that is too wide is wrapped.

    Args:
        rows: the pictures of each row, uint8 RGB `(3, H, W)` of any size; larger ones are scaled down to a cell, and
            pixels of small ones are repeated.
        titles: column titles, of one line or several.
        captions: row captions; None: there are none.
    """
    font = ImageFont.load_default(_WRITING)
    pictures = [[_to_image(picture) for picture in row] for row in rows]
    width = max(_SMALLEST, *(picture.width for row in pictures for picture in row)) + _MARGIN
    line = _WRITING + 2 * _MARGIN
    whole_width = width * len(titles) + _MARGIN
    heads = [_wrapped(title, width - _MARGIN, font) for title in titles]
    above = [_wrapped(caption, whole_width - 2 * _MARGIN, font) for caption in captions or [""] * len(rows)]
    heights = [
        max(picture.height for picture in row) + len(lines) * line + _MARGIN
        for row, lines in zip(pictures, above, strict=True)
    ]
    top = max(map(len, heads)) * line
    grid = Image.new("RGB", (whole_width, top + sum(heights) + _MARGIN), "white")
    draw = ImageDraw.Draw(grid)

    def write(lines: Sequence[str], left: int, top: int) -> None:
        for number, text in enumerate(lines):
            draw.text((_MARGIN + left, _MARGIN + top + number * line), text, "black", font)

    for column, lines in enumerate(heads):
        write(lines, column * width, 0)
    for row, lines, height in zip(pictures, above, heights, strict=True):
        write(lines, 0, top)
        for column, picture in enumerate(row):
            grid.paste(picture, (_MARGIN + column * width, top + len(lines) * line + _MARGIN))
        top += height
    return grid


def _to_image(picture: Tensor) -> Image.Image:
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    times = math.ceil(_SMALLEST / max(image.size))
    if times > 1:
        return image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)
    image.thumbnail((_CELL, _CELL), Image.Resampling.LANCZOS)
    return image


def _wrapped(text: str, width: int, font: _Font) -> list[str]:
    """The lines of a text, each at most `width` pixels wide."""
    text = text.encode("utf-8", "replace").decode()  # a file's name may hold bytes that are no text
    lines: list[str] = []
    for given in text.splitlines():
        begun = ""
        for word in given.split(" "):
            longer = f"{begun} {word}" if begun else word
            if font.getlength(longer) <= width:
                begun = longer
                continue
            lines += [begun] if begun else []
            begun = _shortened(word, width, font)
        lines.append(begun)
    return lines


def _shortened(word: str, width: int, font: _Font) -> str:
    """What fits of a word, its middle left out: names mostly differ at their ends."""
    kept, half = word, len(word) // 2
    while half > 0 and font.getlength(kept) > width:
        half -= 1
        kept = f"{word[:half]}…{word[len(word) - half :]}"
    return kept
