"""Opening photos that have colour to learn from."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorization.color import is_colorful, is_colorless
from colorization.data.photos import Photos
from colorization.errors import PictureError
from colorization.imagefiles import Shrink, is_gray_mode, to_rgb

# A picture's colour is measured on a small copy, which averages out grain and compression noise.
_THUMBNAIL = (48, 48)


class ColorlessError(PictureError):
    """A readable picture without colour to learn from."""


def open_colored(photos: Photos, index: int, shrink: Shrink | None = None) -> Image.Image:
    """A photo as upright sRGB.

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

    image = photos.open(index) if shrink is None else photos.open_reduced(index, noted)
    if is_gray_mode(image):
        raise ColorlessError("is gray")
    rgb = converted(image)
    if is_colorful(_middle_of_small_copy(rgb)):  # most photos
        return rgb
    copy = small_copy(rgb)
    if factor > 1 and not is_colorful(copy):
        copy = small_copy(converted(photos.open(index)))
    if is_colorless(copy):
        raise ColorlessError("has no colour")
    return rgb


def open_upright(photos: Photos, index: int) -> Image.Image:
    """A photo as upright sRGB, gray or not.

    Raises:
        PictureError: it can't be read.
    """
    return converted(photos.open(index))


def converted(image: Image.Image) -> Image.Image:
    """A decoded photo as upright sRGB.

    Raises:
        PictureError: it can't be converted.
    """
    try:
        return to_rgb(image)
    except Exception as error:  # Pillow raises any exception on odd contents
        raise PictureError(f"can't be converted to RGB: {error}") from error


def small_copy(rgb: Image.Image) -> Tensor:
    """The copy on which a photo's colour is measured, uint8 `(3, 48, 48)`."""
    return to_tensor(rgb.resize(_THUMBNAIL, Image.Resampling.BOX))


def _middle_of_small_copy(rgb: Image.Image) -> Tensor:
    """Two of its rows, give or take what lies on their edges."""
    width, height = _THUMBNAIL
    above = (height - 2) / 2 / height
    box = (0, rgb.height * above, rgb.width, rgb.height * (1 - above))
    return to_tensor(rgb.resize((width, 2), Image.Resampling.BOX, box))


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as uint8 `(3, H, W)`, contiguous."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
