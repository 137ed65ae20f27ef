"""ICC profiles, and conversion to sRGB."""

import io
from functools import lru_cache

import imagecodecs
import numpy as np
from PIL import ImageCms

from colorization.imagefiles.picture import Pixels

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# Colour spaces of picture files (ICC.1:2022, 7.2.6), with their number of channels.
_CHANNELS = {"GRAY": 1, "RGB": 3, "CMYK": 4}
_RELATIVE_COLORIMETRIC = 1  # ICC.1:2022, 7.2.15

# Pixels are converted in strips of about this many, because LittleCMS returns a copy.
_STRIP = 2**20


@lru_cache(maxsize=16)
def profile_space(profile: bytes | None) -> str | None:
    """The colour space of a profile: `sRGB`, another `RGB`, `GRAY` or `CMYK`.

    Returns:
        None if there is no profile, or one that is corrupt or of another colour space: it is ignored.
    """
    if not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(opened).startswith("sRGB"):
            return "sRGB"
        space = opened.profile.xcolor_space.strip()
        _transform(np.zeros((1, 1, _CHANNELS[space]), np.uint8), profile, space)
    except Exception:  # LittleCMS and its wrappers raise any exception
        return None
    return space


def to_srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """Converts pixels to sRGB by an ICC profile.

    Args:
        pixels: uint8 or uint16, `(H, W)` for gray, `(H, W, 3)` for RGB, `(H, W, 4)` for CMYK with 0 for no ink. Gray
            and RGB are overwritten if the profile applies to them; gray may have one for RGB.
        profile: an ICC profile with a `profile_space`.

    Returns:
        sRGB of the same type, `(H, W)` for gray and otherwise `(H, W, 3)`; unchanged if the profile is for another
        number of channels.
    """
    space = profile_space(profile)
    assert profile is not None
    assert space is not None
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels != _CHANNELS[space] and (channels, space) != (1, "RGB"):
        return pixels
    result = np.empty((*pixels.shape[:2], 3), pixels.dtype) if space == "CMYK" else pixels
    rows = max(_STRIP // pixels.shape[1], 1)
    for top in range(0, len(pixels), rows):
        strip = pixels[top : top + rows].reshape(-1, pixels.shape[1], channels)
        converted = _transform(strip.repeat(_CHANNELS[space] // channels, axis=2), profile, space)
        result[top : top + rows] = converted[..., 1] if channels == 1 else converted
    return result


def _transform(pixels: Pixels, profile: bytes, space: str) -> Pixels:
    """Pixels `(H, W, C)` to sRGB `(H, W, 3)`."""
    return imagecodecs.cms_transform(
        pixels[..., 0] if space == "GRAY" else pixels,
        profile,
        SRGB_PROFILE,
        colorspace=space.lower(),
        outcolorspace="rgb",
        intent=_RELATIVE_COLORIMETRIC,
    )
