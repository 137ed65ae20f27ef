"""The channels of a picture: interleaved as in files, and separate as in `Picture`."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colorization.errors import TooLargeError
from colorization.imagefiles.picture import Picture, Pixels


class Decoded(NamedTuple):
    """A decoder's result: colour `(H, W[, 3])`, alpha `(H, W)` of the same type, and notes for the user."""

    color: Pixels
    alpha: Pixels | None
    notes: tuple[str, ...] = ()


def split(pixels: NDArray[Any], has_alpha: bool) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """`(H, W)` or `(H, W, C)` to colour and alpha; further channels are dropped."""
    if pixels.ndim == 2:
        return pixels, None
    colors = 3 if pixels.shape[2] >= 3 else 1
    color = pixels[..., :3] if colors == 3 else pixels[..., 0]
    return color, pixels[..., colors] if has_alpha and pixels.shape[2] > colors else None


def joined(picture: Picture) -> Pixels:
    """The picture's colour and alpha, `(H, W[, C])`."""
    if picture.alpha is None:
        return picture.pixels
    return np.concatenate((picture.pixels.reshape(*picture.alpha.shape, -1), picture.alpha[..., None]), axis=-1)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses a possible decompression bomb: a small file of a huge picture, or a film with huge frames."""
    if width * height > max_pixels:
        raise TooLargeError(
            f"has {width} x {height} pixels, more than max_pixels={max_pixels}: if you trust the file, give "
            f"max_pixels={width * height}",
            (width, height),
        )
