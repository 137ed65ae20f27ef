"""Conversion between sRGB and CIE Lab, and what networks see of it."""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

# Linear sRGB -> CIE XYZ, IEC 61966-2-1:1999, white point D65 (rounded to six decimals as in scikit-image).
RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
# CIE XYZ of the D65 white, 2 degree observer (ASTM E308).
WHITE_D65 = (0.95047, 1.0, 1.08883)
# CIE 15:2004, section 8.2.1: the cube root turns into a straight line below (6/29)^3.
EPSILON = (6 / 29) ** 3
SLOPE = (29 / 6) ** 2 / 3
OFFSET = 4 / 29

# Networks see L/50 - 1 and ab/110, so that both lie in about -1..1.
LIGHTNESS_SCALE = 50.0
AB_SCALE = 110.0


def in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Runs `function` on float32 copies of its tensors, with autocast off on their device."""

    @wraps(function)
    def run(*tensors: Tensor, **options: int) -> Tensor:
        with torch.autocast(device_type=tensors[0].device.type, enabled=False):
            return function(*(tensor.float() for tensor in tensors), **options)

    return run


def _mix_channels(matrix: Tensor, picture: Tensor) -> Tensor:
    # Sums of products instead of matmul: TF32 and bfloat16 settings for matmul must not touch colours.
    first, second, third = picture.unbind(-3)
    return torch.stack([row[0] * first + row[1] * second + row[2] * third for row in matrix], dim=-3)


def _to_linear(rgb: Tensor) -> Tensor:
    return torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055).clamp(min=0) ** 2.4, rgb / 12.92)


def _from_linear(linear: Tensor) -> Tensor:
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)


def _compress(xyz: Tensor) -> Tensor:
    """The f of CIE Lab's definition, of XYZ over the white's."""
    return torch.where(xyz > EPSILON, xyz.clamp(min=EPSILON) ** (1 / 3), SLOPE * xyz + OFFSET)


@in_float32
def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Converts sRGB to CIE Lab (D65, 2 degrees).

    Args:
        rgb: `(..., 3, H, W)`, 0..1.

    Returns:
        Lab, float32 `(..., 3, H, W)`: L in 0..100.
    """
    xyz = _mix_channels(rgb.new_tensor(RGB_TO_XYZ), _to_linear(rgb)) / rgb.new_tensor(WHITE_D65).view(3, 1, 1)
    x, y, z = _compress(xyz).unbind(-3)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Converts CIE Lab (D65, 2 degrees) to sRGB. Colours that sRGB cannot show are clipped to 0..1.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.

    Returns:
        RGB, float32 `(..., 3, H, W)`, 0..1.
    """
    return lab_to_unclipped_rgb(lab).clamp(0, 1)


@in_float32
def lab_to_unclipped_rgb(lab: Tensor) -> Tensor:
    """As `lab_to_rgb`, but colours that sRGB cannot show lie outside 0..1."""
    return _from_linear(lab_to_linear(lab))


def lab_to_linear(lab: Tensor) -> Tensor:
    """Lab to linear sRGB, which leaves 0..1 where sRGB can't show the colour."""
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16) / 116
    # z is kept from turning negative, as in scikit-image, so that imaginary blues come out alike.
    f = torch.stack((y + a / 500, y, (y - b / 200).clamp(min=0)), dim=-3)
    xyz = torch.where(f > 6 / 29, f**3, (f - OFFSET) / SLOPE) * lab.new_tensor(WHITE_D65).view(3, 1, 1)
    to_linear = torch.linalg.inv(torch.tensor(RGB_TO_XYZ, dtype=torch.float64)).to(xyz)
    return _mix_channels(to_linear, xyz)


@in_float32
def rgb_to_lightness(rgb: Tensor) -> Tensor:
    """L of CIE Lab alone.

    Args:
        rgb: `(..., 3, H, W)`, or `(..., 1, H, W)` for gray, 0..1.

    Returns:
        float32 `(..., 1, H, W)`, 0..100.
    """
    linear = _to_linear(rgb)
    if rgb.shape[-3] == 3:
        linear = _mix_channels(rgb.new_tensor(RGB_TO_XYZ[1:2]), linear)
    return 116 * _compress(linear) - 16


@in_float32
def lab_to_levels(lab: Tensor, *, highest: int) -> Tensor:
    """Lab to the whole numbers of a picture file, rounded so that L changes as little as it can.

    Green, which weighs most in L, is rounded first; red and then blue are shifted, by no more than one level, by what
    the rounding before them took from L. Against rounding each alone, the mean error of L falls to a third.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.
        highest: the level of full brightness: 255 for 8 bits, 65535 for 16.

    Returns:
        RGB, float32 `(..., 3, H, W)`, whole numbers in 0..highest.
    """
    linear = lab_to_linear(lab)
    red_weight, green_weight, blue_weight = RGB_TO_XYZ[1]
    levels, missing = [], torch.zeros_like(linear[..., 0, :, :])
    for channel, weight in ((1, green_weight), (0, red_weight), (2, blue_weight)):
        wanted = linear[..., channel, :, :]
        own = _from_linear(wanted.clamp(0, 1)) * highest
        shifted = _from_linear((wanted + missing / weight).clamp(0, 1)) * highest
        level = shifted.clamp(own - 1, own + 1).round().clamp(0, highest)
        missing = missing + weight * (wanted - _to_linear(level / highest))
        levels.append(level)
    green, red, blue = levels
    return torch.stack((red, green, blue), dim=-3)


def to_float(rgb: Tensor) -> Tensor:
    """uint8 RGB in 0..255 to float32 in 0..1."""
    return rgb.float() / 255


def to_uint8(rgb: Tensor) -> Tensor:
    """RGB in 0..1 to uint8 in 0..255, rounded to the nearest level, as a picture file stores it."""
    return (rgb.float().clamp(0, 1) * 255).round().to(torch.uint8)


def normalize_lightness(lightness: Tensor) -> Tensor:
    """L in 0..100 to what networks see, -1..1."""
    return lightness / LIGHTNESS_SCALE - 1


def normalize_ab(ab: Tensor) -> Tensor:
    """Ab in Lab units to what networks predict, about -1..1."""
    return ab / AB_SCALE


def denormalize_ab(ab: Tensor) -> Tensor:
    """The inverse of `normalize_ab`."""
    return ab * AB_SCALE


def merge_lab(lightness: Tensor, ab: Tensor) -> Tensor:
    """`(..., 1, H, W)` lightness and `(..., 2, H, W)` ab to `(..., 3, H, W)` Lab."""
    return torch.cat((lightness.float(), ab.float()), dim=-3)


def gray_ab(lightness: Tensor) -> Tensor:
    """The ab of the all-gray baseline: zeros, `(..., 2, H, W)` for lightness `(..., 1, H, W)`."""
    return torch.cat((torch.zeros_like(lightness),) * 2, dim=-3)
