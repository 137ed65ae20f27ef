"""Conversion between sRGB and CIE Lab, and the normalization for networks."""

from collections.abc import Callable, Sequence
from functools import wraps

import torch
from torch import Tensor

from colorization.color.blocks import in_blocks
from colorization.color.curves import compress, expand, from_linear, gray_to_lightness, to_linear

# Linear sRGB -> CIE XYZ, IEC 61966-2-1:1999, white point D65 (rounded to six decimals as in scikit-image).
RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
# CIE XYZ of the D65 white, 2 degree observer (ASTM E308).
WHITE_D65 = (0.95047, 1.0, 1.08883)
# The same relative to white, as in Lab, and the inverse.
_RGB_TO_RELATIVE_XYZ = [[part / white for part in row] for row, white in zip(RGB_TO_XYZ, WHITE_D65, strict=True)]
RELATIVE_XYZ_TO_RGB = torch.tensor(_RGB_TO_RELATIVE_XYZ, dtype=torch.float64).inverse().tolist()
# Networks see L/50 - 1 and ab/110, both in about -1..1.
LIGHTNESS_SCALE = 50.0
AB_SCALE = 110.0


def in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Runs `function` with autocast off, on float32 copies of its floating-point tensors."""

    @wraps(function)
    def run(*tensors: Tensor, **options: float) -> Tensor:
        with torch.autocast(device_type=tensors[0].device.type, enabled=False):
            return function(*(each.float() if each.is_floating_point() else each for each in tensors), **options)

    return run


def _weighted(row: Sequence[float], channels: Sequence[Tensor]) -> Tensor:
    # Sums of products instead of matmul, whose TF32 and bfloat16 settings must not affect colours.
    first, second, third = channels
    return (row[0] * first).add_(second, alpha=row[1]).add_(third, alpha=row[2])


@in_float32
@in_blocks
def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Converts sRGB to CIE Lab (D65, 2 degrees).

    Args:
        rgb: `(..., 3, H, W)`, uint8 or uint16, or floats in 0..1.

    Returns:
        Lab, float32 `(..., 3, H, W)`: L in 0..100.
    """
    linear = to_linear(rgb).unbind(-3)
    x, y, z = (compress(_weighted(row, linear)) for row in _RGB_TO_RELATIVE_XYZ)
    return torch.stack(((116 * y).sub_(16), (x - y).mul_(500), (y - z).mul_(200)), dim=-3)


@in_float32
@in_blocks
def rgb_to_lightness(rgb: Tensor) -> Tensor:
    """L of CIE Lab.

    Args:
        rgb: `(..., 3, H, W)`, or `(..., 1, H, W)` for gray, uint8 or uint16, or floats in 0..1.

    Returns:
        float32 `(..., 1, H, W)`, 0..100.
    """
    if rgb.is_cpu and not rgb.is_floating_point() and rgb.shape[-3] == 1:
        return gray_to_lightness(rgb)
    linear = to_linear(rgb)
    if rgb.shape[-3] == 3:
        linear = _weighted(RGB_TO_XYZ[1], linear.unbind(-3)).unsqueeze(-3)
    return (116 * compress(linear)).sub_(16)


@in_float32
@in_blocks
def lab_to_rgb(lab: Tensor) -> Tensor:
    """Converts CIE Lab (D65, 2 degrees) to sRGB. Colours outside the gamut are clipped to 0..1.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.

    Returns:
        RGB, float32 `(..., 3, H, W)`, 0..1.
    """
    return from_linear(lab_to_linear(lab))


def lab_to_linear(lab: Tensor) -> Tensor:
    """Lab to linear sRGB, which is outside 0..1 for colours outside the gamut."""
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16) / 116
    # z is clamped to 0, as in scikit-image, which makes a difference for imaginary blues.
    f = torch.stack((torch.add(y, a, alpha=1 / 500), y, torch.sub(y, b, alpha=1 / 200).clamp_(min=0)), dim=-3)
    xyz = expand(f).unbind(-3)
    return torch.stack([_weighted(row, xyz) for row in RELATIVE_XYZ_TO_RGB], dim=-3)


@in_float32
@in_blocks
def lightness_to_gray(lightness: Tensor) -> Tensor:
    """The gray of each L.

    Args:
        lightness: `(..., 1, H, W)` in 0..100.

    Returns:
        sRGB, float32 of the same shape, 0..1.
    """
    return from_linear(expand((lightness + 16) / 116))


def to_float(rgb: Tensor) -> Tensor:
    """uint8 RGB in 0..255 to float32 in 0..1."""
    return rgb.float() / 255


def to_uint8(rgb: Tensor) -> Tensor:
    """RGB in 0..1 to uint8 in 0..255, rounded to the nearest level, as a picture file stores it."""
    return (rgb.float().clamp(0, 1) * 255).round().to(torch.uint8)


def normalize_lightness(lightness: Tensor) -> Tensor:
    """L in 0..100 to the input of networks, -1..1."""
    return lightness / LIGHTNESS_SCALE - 1


def normalize_ab(ab: Tensor) -> Tensor:
    """Ab in Lab units to the output of networks, about -1..1."""
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
