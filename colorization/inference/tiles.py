"""Pictures of any size through tiles: shrunk for the network, and painted with the colours that it saw.

Whatever the size of the tiles, the result is the same: a tile reads nothing of its neighbours but the small map of
colours, which is whole.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from colorization.color import lab_to_levels, lab_to_rgb, merge_lab, reduce_chroma, rgb_to_lightness

# The side of a tile. What is computed for one takes some 50 MB.
TILE = 512

# Windows of 3 x 3 pixels of what the network saw, and how much L has to vary in one, in Lab units, to be an edge that
# colours follow and not grain. Of contrasts from 1 to 8 and windows up to 7 this brought the colours of 13 photos, that
# had been shrunk 4 times, back well (mean square error of ab 12.8; bilinear interpolation 14.9) and sharply at edges.
_SIDE = 3
_CONTRAST = 4.0


def tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the squares that a picture is cut into."""
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width))


def read_lightness(pixels: NDArray[Any], device: torch.device) -> Tensor:
    """L, `(1, H, W)` in 0..100, of gray `(H, W)` or RGB `(H, W, 3)` of uint8, uint16 or float32 in 0..1."""
    highest = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    values = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32)).to(device) / highest
    return rgb_to_lightness(values.unsqueeze(0) if values.ndim == 2 else values.permute(2, 0, 1))


def shrink_lightness(pixels: NDArray[Any], size: tuple[int, int], device: torch.device) -> Tensor:
    """L of a picture, brought to another size without aliasing: what a network is shown.

    The same as `F.interpolate(mode="bilinear", antialias=True)` of the whole.

    Args:
        pixels: see `read_lightness`.
        size: height and width to bring it to.
        device: where to compute.

    Returns:
        `(1, *size)`, 0..100.
    """
    height, width = pixels.shape[:2]
    total = torch.zeros(size, device=device)
    down, across = torch.zeros(size[0], 1, device=device), torch.zeros(1, size[1], device=device)
    for rows, columns in tiles(height, width):
        lightness = read_lightness(pixels[rows, columns], device)[0]
        first_row, row_weights = _triangles(rows, height, size[0], device)
        first_column, column_weights = _triangles(columns, width, size[1], device)
        own_rows = slice(first_row, first_row + len(row_weights))
        own_columns = slice(first_column, first_column + len(column_weights))
        total[own_rows, own_columns] += row_weights @ lightness @ column_weights.T
        if columns.start == 0:
            down[own_rows] += row_weights.sum(1, keepdim=True)
        if rows.start == 0:
            across[:, own_columns] += column_weights.sum(1)
    return (total / down / across).unsqueeze(0)


def _triangles(part: slice, length: int, new_length: int, device: torch.device) -> tuple[int, Tensor]:
    """How much each pixel of a part of a row counts in the pixels of the resized row that it touches.

    Returns:
        The first pixel of the resized row, and weights `(pixels of the resized row, pixels of the part)`, which sum up
        to a constant only over the whole row.
    """
    scale = length / new_length
    support = max(scale, 1.0)
    first = max(math.floor((part.start + 0.5 - support) / scale - 0.5), 0)
    last = min(math.ceil((part.stop - 0.5 + support) / scale - 0.5), new_length - 1)
    # Whole numbers and differences in double precision on the CPU: a picture may be a hundred million pixels long.
    centers = (torch.arange(first, last + 1, dtype=torch.float64) + 0.5) * scale
    places = torch.arange(part.start, part.stop, dtype=torch.float64) + 0.5
    weights = (1 - (places - centers.unsqueeze(1)).abs() / support).clamp(min=0)
    return first, weights.to(device, torch.float32)


def guide_colors(lightness: Tensor, ab: Tensor) -> Tensor:
    """Binds colours to the lightness that they were seen with, so that they can be laid on pictures at full size.

    After the fast guided filter of He and Sun (2015, arXiv:1505.00996): in each small window ab is fitted as a linear
    function of L. Where the full-size L differs from the small one, colours follow by that function, and so end where L
    has an edge; what the filter smooths besides, the colours themselves, is left as the network made it. Colours that
    do not occur next to a pixel are no answer, however bright or dark it is: no halos.

    Args:
        lightness: what the network saw, `(B, 1, h, w)` in 0..100.
        ab: what it made of it, `(B, 2, h, w)` in Lab units.

    Returns:
        A map for `colors_at`, `(B, 9, h, w)`: ab, its slope over L, its lowest and its highest values nearby, and L.
    """
    ab = ab.float()
    level = lightness - 50
    mean_level, mean_ab = _window_mean(level), _window_mean(ab)
    variance = (_window_mean(level * level) - mean_level * mean_level).clamp(min=0)
    covariance = _window_mean(level * ab) - mean_level * mean_ab
    # Mean over mean, not the mean of slopes: windows without an edge have no say in those that touch one.
    slope = _window_mean(covariance) / (_window_mean(variance) + _CONTRAST**2)
    highest = F.max_pool2d(ab, _SIDE, stride=1, padding=_SIDE // 2)
    lowest = -F.max_pool2d(-ab, _SIDE, stride=1, padding=_SIDE // 2)
    return torch.cat((ab, slope, lowest, highest, lightness), dim=1)


def _window_mean(values: Tensor) -> Tensor:
    return F.avg_pool2d(values, _SIDE, stride=1, padding=_SIDE // 2, count_include_pad=False)


def colors_at(
    guide: Tensor, lightness: Tensor, place: tuple[slice, slice] | None = None, size: tuple[int, int] | None = None
) -> Tensor:
    """The colours of a picture or a part of it.

    Args:
        guide: `(..., 9, h, w)`, see `guide_colors`.
        lightness: L of the picture or the part, `(..., 1, H, W)`.
        place: rows and columns of the part.
        size: height and width of the whole picture, if it is a part.

    Returns:
        ab in Lab units, `(..., 2, H, W)`.
    """
    height, width = size or lightness.shape[-2:]
    rows, columns = place or (slice(0, height), slice(0, width))
    above, below, down = _neighbors(rows, height, guide.shape[-2], guide.device)
    left, right, across = _neighbors(columns, width, guide.shape[-1], guide.device)
    first = int(above[0])
    near = guide[..., first : int(below[-1]) + 1, :]
    wide = torch.lerp(near[..., left], near[..., right], across)
    above, below = wide.index_select(-2, above - first), wide.index_select(-2, below - first)
    ab, slope, lowest, highest, seen = torch.lerp(above, below, down.unsqueeze(1)).split(2, dim=-3)
    return torch.clamp(ab + slope * (lightness - seen), lowest, highest)


def _neighbors(part: slice, length: int, count: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For linear interpolation of `count` values to a part of a row of `length` pixels: the values before and after
    each pixel, and its place between them, 0..1.
    """
    places = (torch.arange(part.start, part.stop, dtype=torch.float64) + 0.5) * (count / length) - 0.5
    places = places.clamp(0, count - 1)
    before = places.long()
    fraction = (places - before).to(device, torch.float32)
    return before.to(device), (before + 1).clamp(max=count - 1).to(device), fraction


def paint(pixels: NDArray[Any], guide: Tensor, saturation: float) -> NDArray[Any]:
    """Lays colours on a picture; its L stays.

    Args:
        pixels: see `read_lightness`.
        guide: the colours, `(9, h, w)`, see `guide_colors`.
        saturation: what chroma is multiplied by.

    Returns:
        RGB `(H, W, 3)` of the same type. Colours that sRGB can't show have less chroma, at the same L and hue.
    """
    height, width = pixels.shape[:2]
    painted = np.empty((height, width, 3), pixels.dtype)
    for place in tiles(height, width):
        lightness = read_lightness(pixels[place], guide.device)
        ab = colors_at(guide, lightness, place, (height, width))
        lab = reduce_chroma(merge_lab(lightness, saturation * ab))
        rgb = lab_to_levels(lab, highest=np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else lab_to_rgb(lab)
        painted[place] = rgb.permute(1, 2, 0).cpu().numpy()
    return painted
