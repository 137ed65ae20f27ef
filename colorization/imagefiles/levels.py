"""What the numbers of a file mean: samples of any type become brightness of 8 or 16 bits, or are refused in words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colorization.errors import PictureError
from colorization.imagefiles.picture import Pixels

# Floats that leave 0..1 by no more than this have been rounded, or resampled.
_ROUNDED = 1e-3
# Of a picture that is stored in 24 bits or more and uses less than this share of their range, 8 bits would be black.
_LEAST_SHARE = 1 / 256


def to_levels(samples: NDArray[Any], bits: int | None = None) -> tuple[Pixels, tuple[str, ...]]:
    """Brings the samples of a file to 8 bits, or to 16 if there is more in them.

    Args:
        samples: of any type and shape, not empty.
        bits: how many of an unsigned integer's bits are used; None: all.

    Returns:
        uint8 or uint16 of the same shape, with the highest value for white; and sentences about what was assumed.

    Raises:
        PictureError: they do not say what is black and what is white.
    """
    if samples.dtype.kind == "f":
        return _of_floats(samples)
    if samples.dtype.kind == "i":
        raise PictureError(
            "holds signed whole numbers, which do not say what is black and what is white: store it with 8 or 16 bits "
            "without sign"
        )
    if samples.dtype.kind != "u":
        raise PictureError(f"holds numbers of type {samples.dtype}: store it with 8 or 16 bits")
    bits = bits or 8 * samples.dtype.itemsize
    highest = 2**bits - 1
    if bits in (8, 16):
        return samples.astype(f"u{bits // 8}", copy=False), ()
    if bits > 16 and int(samples.max()) < highest * _LEAST_SHARE:
        raise PictureError(
            f"holds whole numbers up to {samples.max()}, so that of {bits} bits nearly all are unused and it would be "
            "black: store it with 16 bits"
        )
    return _scaled(samples, highest, np.uint8 if bits < 8 else np.uint16), ()


def _of_floats(samples: NDArray[Any]) -> tuple[Pixels, tuple[str, ...]]:
    low, high = float(samples.min()), float(samples.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PictureError("holds numbers that are not finite (NaN or Inf): replace them")
    notes: tuple[str, ...] = ()
    white = 1
    if not (low >= -_ROUNDED and high <= 1 + _ROUNDED):
        # Programs store 8 or 16 bits as floats: what reaches the upper half of such a range is taken for it.
        white = next((most for most in (255, 65535) if low >= 0 and most / 2 < high <= most), 0)
        if not white:
            raise PictureError(
                f"holds floats from {low:g} to {high:g}, which do not say what is black and what is white: bring them "
                "to 0..1"
            )
        notes = (f"its floats, which go up to {high:g}, were taken for brightness from 0 to {white}",)
    return _scaled(samples, white, np.uint16), notes


def _scaled(samples: NDArray[Any], white: int, dtype: type[np.unsignedinteger[Any]]) -> Pixels:
    """Row by row, so that little more than the result is in memory."""
    highest = np.iinfo(dtype).max
    levels = np.empty(samples.shape, dtype)
    for row, target in zip(samples, levels, strict=True):
        target[...] = np.clip(row.astype(np.float64) * (highest / white), 0, highest).round()
    return levels
