"""Conversion of samples of any type to 8 or 16 bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colorization.errors import PictureError
from colorization.imagefiles.picture import Pixels

# Tolerance of floats outside 0..1, for rounding and resampling.
_ROUNDED = 1e-3
# A picture of 24 bits or more that uses a smaller share of its range would be black in 8 bits.
_LEAST_SHARE = 1 / 256


def to_levels(samples: NDArray[Any], bits: int | None = None) -> tuple[Pixels, tuple[str, ...]]:
    """Converts samples to 8 bits, or to 16 if they have more.

    Args:
        samples: of any type and shape, not empty.
        bits: number of used bits of an unsigned integer; None: all.

    Returns:
        uint8 or uint16 of the same shape, with the maximum for white; and notes on assumptions.

    Raises:
        PictureError: black and white are undefined.
    """
    if samples.dtype.kind == "f":
        return _of_floats(samples)
    if samples.dtype.kind == "i":
        raise PictureError(
            "holds signed integers, whose black and white are undefined: store it with unsigned 8 or 16 bits"
        )
    if samples.dtype.kind != "u":
        raise PictureError(f"holds values of type {samples.dtype}: store it with 8 or 16 bits")
    bits = bits or 8 * samples.dtype.itemsize
    highest = 2**bits - 1
    if bits in (8, 16):
        return samples.astype(f"u{bits // 8}", copy=False), ()
    if bits > 16 and int(samples.max()) < highest * _LEAST_SHARE:
        raise PictureError(
            f"holds integers up to {samples.max()} only, of {bits} bits, and would be black: store it with 16 bits"
        )
    return _scaled(samples, highest, np.uint8 if bits < 8 else np.uint16), ()


def _of_floats(samples: NDArray[Any]) -> tuple[Pixels, tuple[str, ...]]:
    low, high = float(samples.min()), float(samples.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PictureError("holds values that are not finite (NaN or Inf): replace them")
    notes: tuple[str, ...] = ()
    white = 1
    if not (low >= -_ROUNDED and high <= 1 + _ROUNDED):
        # Some programs store 8 or 16 bits as floats: a maximum in the upper half of such a range implies it.
        white = next((most for most in (255, 65535) if low >= 0 and most / 2 < high <= most), 0)
        if not white:
            raise PictureError(
                f"holds floats from {low:g} to {high:g}, whose black and white are undefined: scale them to 0..1"
            )
        notes = (f"its floats, up to {high:g}, were taken as levels from 0 to {white}",)
    return _scaled(samples, white, np.uint16), notes


def _scaled(samples: NDArray[Any], white: int, dtype: type[np.unsignedinteger[Any]]) -> Pixels:
    """Row by row, to save memory."""
    highest = np.iinfo(dtype).max
    levels = np.empty(samples.shape, dtype)
    for row, target in zip(samples, levels, strict=True):
        target[...] = np.clip(row.astype(np.float64) * (highest / white), 0, highest).round()
    return levels
