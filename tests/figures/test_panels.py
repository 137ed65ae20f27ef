"""Panels and grids: heads over their columns, text that is not cut off, pictures that are large enough to be seen."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from colorization.figures.panels import _MARGIN, _SMALLEST, _WRITING, _wrapped, make_panel, make_titled_grid

FONT = ImageFont.load_default(_WRITING)


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8)


def test_a_panel_has_heads_over_its_columns() -> None:
    predicted, truth = pictures(2, 200, 200), pictures(2, 200, 200)
    panel = np.asarray(make_panel(predicted, truth))
    column = 200 + _MARGIN
    top = _WRITING + 2 * _MARGIN
    heads = [panel[:top, number * column : (number + 1) * column] for number in range(3)]
    assert all((head < 128).any() for head in heads)
    for number, shown in ((1, predicted), (2, truth)):
        left = _MARGIN + number * column
        for row in range(2):
            above = top + _MARGIN + row * column
            part = panel[above : above + 200, left : left + 200]
            assert np.array_equal(part, shown[row].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("side", [16, 40, 191, 192, 300, 1000])
def test_small_pictures_are_enlarged_pixel_by_pixel_and_large_ones_shrink(side: int) -> None:
    grid = make_titled_grid([[pictures(1, side, side)[0]]], ["one"], ["below"])
    shown = grid.width - 2 * _MARGIN
    assert _SMALLEST <= shown <= 384
    assert shown % side == 0 or side > 384


def test_long_captions_are_wrapped_and_not_cut_off() -> None:
    text = "worst: archive/of/1931/a-photo-with-a-long-name.jpg, -12.34 dB against the PSNR of the first checkpoint"
    lines = _wrapped(text, 192, FONT)
    assert [word for word in " ".join(lines).split() if "…" not in word] == [
        word for word in text.split() if "archive" not in word
    ]
    assert all(FONT.getlength(line) <= 192 for line in lines if " " in line)
    grids = [make_titled_grid([[pictures(1, 192, 192)[0]]], ["one"], [caption]) for caption in ("short", text)]
    assert grids[1].height - grids[0].height == (len(lines) - 1) * (_WRITING + 2 * _MARGIN)


def test_a_word_that_no_line_holds_loses_its_middle() -> None:
    (line,) = _wrapped("a" * 100 + "-end.jpg", 200, FONT)
    assert FONT.getlength(line) <= 200
    assert line.startswith("aa")
    assert line.endswith("-end.jpg")
    assert "…" in line
    assert _wrapped("\udc80", 200, FONT) == ["?"]
    assert isinstance(make_titled_grid([[pictures(1, 8, 8)[0]]], ["a\nb"]), Image.Image)
