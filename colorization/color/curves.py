"""The two curves between sRGB and CIE Lab: the transfer function of sRGB, and the cube root of Lab.

Powers would dominate the time of a conversion. On a CPU, tables replace them unless a gradient is needed; both agree
within 5e-6.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache

import torch
from torch import Tensor

# sRGB, IEC 61966-2-1:1999: a straight line near black, a power above.
RGB_KNEE, LINEAR_KNEE = 0.04045, 0.0031308
# CIE 15:2004, section 8.2.1: below (6/29)^3 the cube root turns into its tangent there.
EPSILON = (6 / 29) ** 3
SLOPE = (29 / 6) ** 2 / 3

# The tables have an entry for each 128th of an octave, indexed by the first 16 bits of a float32.
_SHIFT = 16
# Above zero, because of the sign bit of -0, and large enough for slopes in double precision.
_LEAST = 1e-12


def to_linear(rgb: Tensor) -> Tensor:
    """Levels of sRGB to linear sRGB.

    Args:
        rgb: uint8 or uint16; or float32, clipped to 0..1.

    Returns:
        float32 of the same shape, 0..1.
    """
    if not rgb.is_floating_point():
        highest = torch.iinfo(rgb.dtype).max
        if rgb.is_cpu:
            return levels_to_linear(rgb, highest)
        rgb = rgb.float() / highest
    return _follow(_linear, rgb.clamp(_LEAST, 1))


def levels_to_linear(levels: Tensor, highest: int) -> Tensor:
    """Integers from 0 to `highest`, of any dtype, to linear sRGB, float32 in 0..1."""
    if not levels.is_cpu:
        return _linear(levels / highest)
    return _look_up(_level_table(highest), levels)


def gray_to_lightness(levels: Tensor) -> Tensor:
    """Gray levels of a picture file, uint8 or uint16 on a CPU, to L of CIE Lab, float32 in 0..100."""
    return _look_up(_lightness_table(torch.iinfo(levels.dtype).max), levels)


def from_linear(linear: Tensor) -> Tensor:
    """Linear sRGB to sRGB, float32, clipped to 0..1."""
    return _follow(_encoded, linear.clamp(_LEAST, 1))


def from_linear_with_slope(linear: Tensor) -> tuple[Tensor, Tensor]:
    """As `from_linear`, with the slope of the curve at each value."""
    linear = linear.clamp(_LEAST, 1)
    if _is_free(linear):
        with suppress(IndexError):  # NaN has no entry
            start, slope = _lines(_encoded, linear)
            return torch.addcmul(start, slope, linear), slope
    power = 1.055 / 2.4 * linear ** (1 / 2.4 - 1)
    return _encoded(linear), torch.where(linear > LINEAR_KNEE, power, 12.92)


def compress(y: Tensor) -> Tensor:
    """The function f in the definition of CIE Lab, of a tristimulus value relative to white, float32 in 0..1."""
    if _is_free(y):
        with suppress(IndexError):  # NaN has no entry
            # One step of Newton's method from the nearest entry of a table, which holds sqrt(3) times the root. The
            # entries below EPSILON hold that of EPSILON: the step from there is along the tangent, as it is defined.
            near = _root_table().index_select(0, _entries(y)).view(y.shape)
            return (y / near.square()).add_(near, alpha=2 / 27**0.5)
    return _compressed(y)


def expand(f: Tensor) -> Tensor:
    """The inverse of `compress`."""
    # The tangent of f^3 at k is k^2 (k + 3 (f - k)); at k = f it is the cube itself.
    k = f.clamp(min=6 / 29)
    return k.lerp(f, 3).mul_(k).mul_(k)


def _linear(rgb: Tensor) -> Tensor:
    power = ((rgb.clamp(min=RGB_KNEE) + 0.055) / 1.055) ** 2.4
    return power + (rgb.clamp(max=RGB_KNEE) - RGB_KNEE) / 12.92


def _encoded(linear: Tensor) -> Tensor:
    power = 1.055 * linear.clamp(min=LINEAR_KNEE) ** (1 / 2.4) - 0.055
    return power + 12.92 * (linear.clamp(max=LINEAR_KNEE) - LINEAR_KNEE)


def _compressed(y: Tensor) -> Tensor:
    return y.clamp(min=EPSILON) ** (1 / 3) + SLOPE * (y.clamp(max=EPSILON) - EPSILON)


def _is_free(values: Tensor) -> bool:
    """Whether a table may replace the formula."""
    return values.is_cpu and not (values.requires_grad and torch.is_grad_enabled())


def _follow(curve: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """A curve at values in `_LEAST`..1: interpolated linearly from a table, or by its formula."""
    if _is_free(values):
        with suppress(IndexError):  # NaN has no entry
            start, slope = _lines(curve, values)
            return torch.addcmul(start, slope, values)
    return curve(values)


def _lines(curve: Callable[[Tensor], Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
    """Intercepts and slopes of the table's lines for values in `_LEAST`..1."""
    entries = _entries(values)
    start, slope = (table.index_select(0, entries).view(values.shape) for table in _line_table(curve))
    return start, slope


def _entries(values: Tensor) -> Tensor:
    """Indices of the table entries of contiguous float32 values."""
    return (values.contiguous().view(torch.int32) >> _SHIFT).view(-1)


def _borders(last: float) -> Tensor:
    """Lower bounds of the entries of a table up to `last`, and one more, in double precision."""
    count = (int(torch.tensor(last).view(torch.int32)) >> _SHIFT) + 2
    return (torch.arange(count, dtype=torch.int32) << _SHIFT).view(torch.float32).double()


def _look_up(table: Tensor, levels: Tensor) -> Tensor:
    return table.index_select(0, levels.int().reshape(-1)).view(levels.shape)


@cache
def _level_table(highest: int) -> Tensor:
    return _linear(torch.arange(highest + 1, dtype=torch.float64) / highest).float()


@cache
def _lightness_table(highest: int) -> Tensor:
    return 116 * _compressed(_level_table(highest)) - 16


@cache
def _root_table() -> Tensor:
    borders = _borders(2.0)  # white is slightly above 1, by rounding
    return (3**0.5 * ((borders[1:] + borders[:-1]) / 2).clamp(min=EPSILON) ** (1 / 3)).float()


@cache
def _line_table(curve: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Intercepts and slopes of lines with the same error in the middle of an entry as at its ends."""
    borders = _borders(1.0)
    low, high = borders[:-1], borders[1:]
    middle = (low + high) / 2
    slopes = (curve(high) - curve(low)) / (high - low)
    starts = (curve(low) + curve(middle) - slopes * (low + middle)) / 2
    return starts.float(), slopes.float()
