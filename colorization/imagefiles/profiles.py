"""ICC profiles: what the numbers of a file mean, and how they become sRGB."""

import io
from functools import lru_cache

import imagecodecs
import numpy as np
from PIL import ImageCms

from colorization.imagefiles.picture import Pixels

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# ICC.1:2022, 7.2.6: the colour spaces whose numbers picture files hold, and how many channels they have.
_CHANNELS = {"GRAY": 1, "RGB": 3, "CMYK": 4}
_RELATIVE_COLORIMETRIC = 1  # ICC.1:2022, 7.2.15

# Pixels are converted in strips of about this many, because LittleCMS returns a copy.
_STRIP = 2**20


@lru_cache(maxsize=16)
def profile_space(profile: bytes | None) -> str | None:
    """What a profile is for: `sRGB` itself, or numbers of another kind of `RGB`, `GRAY` or `CMYK`.

    Returns:
        None if there is no profile, or one that is damaged or for something else: it says nothing.
    """
    if not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(opened).startswith("sRGB"):
            return "sRGB"
        space = opened.profile.xcolor_space.strip()
        _transform(np.zeros((1, 1, _CHANNELS[space]), np.uint8), profile, space)
    except Exception:  # LittleCMS and what wraps it raise what they like
        return None
    return space


def to_srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """Brings the numbers of a file to sRGB.

    Args:
        pixels: uint8 or uint16, `(H, W)` for gray, `(H, W, 3)` for RGB, `(H, W, 4)` for CMYK with 0 for no ink. Gray
            and RGB are overwritten, where a profile is for them; gray may have one for RGB.
        profile: an ICC profile that `profile_space` knows.

    Returns:
        sRGB of the same type, `(H, W)` for gray and otherwise `(H, W, 3)`; the numbers as they are if the profile is
        for others.
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
    """`(H, W, C)` numbers to sRGB `(H, W, 3)`."""
    return imagecodecs.cms_transform(
        pixels[..., 0] if space == "GRAY" else pixels,
        profile,
        SRGB_PROFILE,
        colorspace=space.lower(),
        outcolorspace="rgb",
        intent=_RELATIVE_COLORIMETRIC,
    )
