"""Reading photos that have colour to learn from."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorization.color import is_colorful, is_colorless
from colorization.data.photos import Photos
from colorization.errors import PictureError
from colorization.imagefiles import Shrink, to_rgb
from colorization.imagefiles.picture import Pixels

# A picture's colour is measured on a small copy, which averages out grain and compression noise.
_THUMBNAIL = (48, 48)


class ColorlessError(PictureError):
    """A readable picture without colour to learn from."""


def open_colored(photos: Photos, index: int) -> Image.Image:
    """A photo at its own size as upright sRGB.

    Raises:
        ColorlessError: it has no colour.
        PictureError: it can't be read.
    """
    return Image.fromarray(read_colored(photos, index))


def read_colored(photos: Photos, index: int, shrink: Shrink | None = None) -> Pixels:
    """The pixels of a photo as upright sRGB, uint8 `(H, W, 3)`.

    Args:
        photos: the list it is in.
        index: of the photo.
        shrink: how much smaller it may be decoded; None: at its own size. The same photos count as colourless.

    Raises:
        ColorlessError: it has no colour.
        PictureError: it can't be read.
    """
    factor = 1

    def noted(size: tuple[int, int]) -> int:
        nonlocal factor
        factor = 1 if shrink is None else shrink(size)
        return factor

    pixels = photos.read_colors(index, noted)
    if pixels is None:
        raise ColorlessError("is gray")
    if is_colorful(_middle_of_small_copy(pixels)):  # most photos
        return pixels
    copy = small_copy(Image.fromarray(pixels))
    if factor > 1 and not is_colorful(copy):
        copy = small_copy(to_rgb(photos.open(index)))
    if is_colorless(copy):
        raise ColorlessError("has no colour")
    return pixels


def open_upright(photos: Photos, index: int) -> Image.Image:
    """A photo as upright sRGB, gray or not.

    Raises:
        PictureError: it can't be read.
    """
    return to_rgb(photos.open(index))


def small_copy(rgb: Image.Image) -> Tensor:
    """The copy on which a photo's colour is measured, uint8 `(3, 48, 48)`."""
    return to_tensor(rgb.resize(_THUMBNAIL, Image.Resampling.BOX))


def _middle_of_small_copy(pixels: Pixels) -> Tensor:
    """Two of its rows, give or take what lies on their edges."""
    width, height = _THUMBNAIL
    above = len(pixels) * (height - 2) // (2 * height)
    middle = Image.fromarray(pixels[above : len(pixels) - above])
    return to_tensor(middle.resize((width, 2), Image.Resampling.BOX))


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as uint8 `(3, H, W)`, contiguous."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
