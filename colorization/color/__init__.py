"""Colour: sRGB <-> CIE Lab, gamut, ab bins, colourfulness and colour differences.

Pictures are channels first, `(..., 3, H, W)`. RGB is sRGB in 0..1; Lab has L in 0..100 and a, b in about -87..98 in
the sRGB gamut. All of it is computed in float32 with autocast off: under bfloat16 the conversion is wrong
by up to 2.5 Lab units.
"""

from colorization.color.bins import (
    BIN_STEP,
    GRID_SIDE,
    ab_bins,
    annealed_mean,
    checked_temperature,
    grid_squares,
    nearest_bins,
)
from colorization.color.conversion import (
    denormalize_ab,
    gray_ab,
    lab_to_rgb,
    lightness_to_gray,
    merge_lab,
    normalize_ab,
    normalize_lightness,
    rgb_to_lab,
    rgb_to_lightness,
    to_float,
    to_uint8,
)
from colorization.color.gamut import clipped_share, lab_to_mapped_levels, lab_to_mapped_rgb
from colorization.color.measures import (
    COLORLESS_CHROMA,
    ciede2000,
    colorfulness,
    colorfulness_abs,
    is_colorful,
    is_colorless,
    saturated,
)

__all__ = [
    "BIN_STEP",
    "COLORLESS_CHROMA",
    "GRID_SIDE",
    "ab_bins",
    "annealed_mean",
    "checked_temperature",
    "ciede2000",
    "clipped_share",
    "colorfulness",
    "colorfulness_abs",
    "denormalize_ab",
    "gray_ab",
    "grid_squares",
    "is_colorful",
    "is_colorless",
    "lab_to_mapped_levels",
    "lab_to_mapped_rgb",
    "lab_to_rgb",
    "lightness_to_gray",
    "merge_lab",
    "nearest_bins",
    "normalize_ab",
    "normalize_lightness",
    "rgb_to_lab",
    "rgb_to_lightness",
    "saturated",
    "to_float",
    "to_uint8",
]
