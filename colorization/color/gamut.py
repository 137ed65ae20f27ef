"""The sRGB gamut: clipping, and gamut mapping by reducing chroma."""

import torch
from torch import Tensor

from colorization.color.blocks import in_blocks
from colorization.color.conversion import RELATIVE_XYZ_TO_RGB, RGB_TO_XYZ, in_float32, lab_to_linear
from colorization.color.curves import expand, from_linear, from_linear_with_slope, levels_to_linear

# Tolerance of linear RGB below 0 and above 1: the rounding of float32, and that of the matrices, by which white itself
# is outside.
GAMUT_MARGIN = (2e-6, 1e-4)
# Linear RGB half an 8-bit level below black and above white.
_HALF_BELOW, _HALF_ABOVE = -0.5 / 255 / 12.92, ((1 + 0.5 / 255 + 0.055) / 1.055) ** 2.4
# More than the chroma of any colour of sRGB, which is at most 134.
_MOST_CHROMA = 150.0


@in_float32
def clipped_share(lab: Tensor) -> Tensor:
    """The share of pixels outside the gamut: `lab_to_rgb` clips them by more than half an 8-bit level.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.

    Returns:
        `(...)`, 0..1.
    """
    lowest, highest = _range(lab_to_linear(lab))
    outside = (lowest < _HALF_BELOW) | (highest > _HALF_ABOVE)
    return outside.float().mean(dim=(-2, -1))


@in_float32
@in_blocks
def lab_to_mapped_rgb(lab: Tensor) -> Tensor:
    """As `lab_to_rgb`, but colours outside the gamut are mapped to its boundary at the same L and hue: their chroma is
    reduced, within 1/1000 by bisection.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.

    Returns:
        RGB, float32 `(..., 3, H, W)`, 0..1.
    """
    return from_linear(_mapped(lab))


@in_float32
@in_blocks
def lab_to_mapped_levels(lab: Tensor, *, highest: int) -> Tensor:
    """As `lab_to_mapped_rgb`, in the integer levels of a picture file, rounded so that L changes as little as possible.

    Green, which has the largest weight in L, is rounded first. Red and then blue compensate the error of L of the
    rounding before them, by at most one level. The mean error of L is a third of that of rounding each channel.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.
        highest: the maximum level: 255 for 8 bits, 65535 for 16.

    Returns:
        RGB, float32 `(..., 3, H, W)`, integers in 0..highest.
    """
    linear = _mapped(lab)
    levels, slopes = from_linear_with_slope(linear)
    red, green, blue = levels.mul_(highest).unbind(-3)
    red_slope, _, blue_slope = slopes.mul_(highest).unbind(-3)
    red_linear, green_linear, _ = linear.unbind(-3)
    red_weight, green_weight, blue_weight = RGB_TO_XYZ[1]
    green.round_()
    missing = (green_linear - levels_to_linear(green, highest)).mul_(green_weight)  # of Y
    _round_shifted(red, red_slope.mul_(missing).mul_(1 / red_weight), highest)
    missing.add_(red_linear - levels_to_linear(red, highest), alpha=red_weight)
    _round_shifted(blue, blue_slope.mul_(missing).mul_(1 / blue_weight), highest)
    return levels


def _round_shifted(levels: Tensor, shift: Tensor, highest: int) -> None:
    """Shifts levels by at most one level and rounds them, in place."""
    levels.add_(shift.clamp_(-1, 1)).round_().clamp_(0, highest)


def _mapped(lab: Tensor) -> Tensor:
    """Lab to linear sRGB, with reduced chroma outside the gamut."""
    linear = lab_to_linear(lab)
    lowest, highest = _range(linear)
    below, above = GAMUT_MARGIN
    (outside,) = ((highest > 1 + above) | (lowest < -below)).flatten().nonzero(as_tuple=True)
    if len(outside):
        lightness, *ab = (channel.flatten().index_select(0, outside) for channel in lab.unbind(-3))
        mapped = lab_to_linear(torch.stack((lightness, *_reduced(lightness, *ab))).unsqueeze(-1)).squeeze(-1)
        pixels = linear.shape[-2] * linear.shape[-1]
        places = outside + outside // pixels * (2 * pixels)  # of red in memory; green and blue are further on
        for channel, values in enumerate(mapped):
            linear.view(-1).scatter_(0, places + channel * pixels, values)  # a quarter of the time of an index
    return linear


def _range(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and the highest channel of each pixel, `(..., H, W)`."""
    red, green, blue = rgb.unbind(-3)
    return torch.minimum(torch.minimum(red, green), blue), torch.maximum(torch.maximum(red, green), blue)


def _reduced(lightness: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Colours outside the gamut, each channel `(N,)`, to their ab on its boundary, `(2, N)`."""
    # Bounded by the largest chroma of sRGB, so that few bisections are enough.
    ab = torch.stack((a, b)) * (_MOST_CHROMA / torch.hypot(a, b).clamp(min=_MOST_CHROMA))
    # As in `lab_to_linear` for a multiple of ab: f of X and Z is linear in it, Y does not change.
    y = (lightness + 16) / 116
    slopes = ab / ab.new_tensor([[500.0], [-200.0]])
    of_x, of_y, of_z = ab.new_tensor(RELATIVE_XYZ_TO_RGB).T.unsqueeze(-1)
    below, above = GAMUT_MARGIN
    middle, reach = (1 + above - below) / 2, (1 + above + below) / 2
    rest = of_y * expand(y) - middle
    share, step = torch.full_like(y, 0.5), 0.5
    for _ in range(10):
        step /= 2
        x, z = expand(torch.addcmul(y, slopes, share).clamp_(min=0))
        room = reach - torch.addcmul(rest, of_x, x).addcmul_(of_z, z).abs_().amax(dim=0)
        share.add_(room.sign_(), alpha=step)  # faster than to compare and add
    return ab * (share - step)
