"""Conversion of pictures in Pillow, NumPy and PyTorch to `Picture` and back."""

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from colorization.errors import PictureError
from colorization.imagefiles.picture import Picture
from colorization.imagefiles.profiles import SRGB_PROFILE
from colorization.imagefiles.reading import from_pil, read_picture
from colorization.imagefiles.saving import to_8_bits, to_pil


def as_picture(image: Any) -> Picture:
    """Converts to a `Picture`; floats stay floats.

    Args:
        image: a path; a PIL picture; an array `(H, W)`, `(H, W, 1)`, `(H, W, 3)` or `(H, W, 4)` of uint8, uint16 or
            floats in 0..1; a tensor of the same types, `(1, H, W)`, `(3, H, W)` or `(4, H, W)`.

    Raises:
        PictureError: it is none of these.
    """
    pixels: NDArray[Any]
    if isinstance(image, str | os.PathLike):
        try:
            return to_8_bits(read_picture(image))
        except PictureError as error:
            raise PictureError(f"{os.fspath(image)} {error}") from error
    if isinstance(image, Image.Image):
        try:
            return to_8_bits(from_pil(image))
        except Exception as error:  # Pillow's decoders raise any exception on corrupt files
            raise PictureError(f"the picture can't be decoded: {error}") from error
    if isinstance(image, Tensor):
        what = f"a tensor of {image.dtype} with shape {tuple(image.shape)}"
        tensor = image.detach().cpu()
        pixels = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels[..., None, None]
        shapes = "(1, H, W), (3, H, W) or (4, H, W), or a batch of such"
    elif isinstance(image, np.ndarray):
        what = f"an array of {image.dtype} with shape {image.shape}"
        pixels = image.astype(np.float32) if image.dtype.kind == "f" else image
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        shapes = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    else:
        raise PictureError(
            f"{type(image).__name__} is not a picture: give a path, a PIL picture, an array, a tensor or a list"
        )
    known = pixels.dtype in (np.uint8, np.uint16, np.float32)
    if not known or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or not pixels.size:
        raise PictureError(f"{what} is not a picture: give uint8, uint16 or floats in 0..1 of shape {shapes}")
    if pixels.dtype.kind == "f" and not ((pixels >= 0) & (pixels <= 1)).all():
        if not np.isfinite(pixels).all():
            raise PictureError(f"{what} is not a picture: it holds NaN or Inf, replace them, as np.nan_to_num does")
        raise PictureError(f"{what} is not a picture: its values are outside 0..1, divide by the maximum")
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    return Picture(pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3], alpha)


def like(image: Any, colored: Picture) -> Any:
    """A coloured picture in the kind and type of the original that `as_picture` took."""
    if isinstance(image, Image.Image | str | os.PathLike):
        drawn = to_pil(colored)
        kept = {"dpi": colored.dpi, "exif": colored.exif, "icc_profile": SRGB_PROFILE if colored.has_profile else None}
        drawn.info.update({key: value for key, value in kept.items() if value is not None})
        return drawn
    pixels: NDArray[Any] = colored.pixels
    if isinstance(image, Tensor):
        result = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).to(image.device, image.dtype)
        return result if colored.alpha is None else torch.cat((result, image[3:]))
    pixels = pixels.astype(image.dtype, copy=False)
    return pixels if colored.alpha is None else np.concatenate((pixels, image[..., 3:]), axis=2)
