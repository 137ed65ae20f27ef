"""Everything this project knows about colour: sRGB <-> CIE Lab, what networks see, and how colourful a picture is.

Pictures are channels first, `(..., 3, H, W)`. RGB is sRGB in 0..1; Lab has L in 0..100 and a, b in about -87..98 for
colours that sRGB can show. All of it is computed in float32 with autocast off: under bfloat16 the conversion is wrong
by up to 2.5 Lab units.
"""

from collections.abc import Callable
from functools import cache, wraps
from itertools import product

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

# How far linear RGB may leave 0..1 at both ends and count as shown: the rounding of float32, and that of the matrices,
# by which white itself is outside.
GAMUT_MARGIN = (2e-6, 1e-4)

# Networks see L/50 - 1 and ab/110, so that both lie in about -1..1.
LIGHTNESS_SCALE = 50.0
AB_SCALE = 110.0

# The side of the squares that quantize the ab plane, in Lab units (Zhang, Isola and Efros, 2016).
BIN_STEP = 10

# Nodes of that grid on each axis, from -110 to 110: more than sRGB reaches.
GRID_SIDE = 23

# Below this chroma everywhere, a picture holds no colour to learn from.
COLORLESS_CHROMA = 5.0


def _in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
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


@_in_float32
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


@_in_float32
def lab_to_unclipped_rgb(lab: Tensor) -> Tensor:
    """As `lab_to_rgb`, but colours that sRGB cannot show lie outside 0..1."""
    return _from_linear(_lab_to_linear(lab))


def _lab_to_linear(lab: Tensor) -> Tensor:
    """Lab to linear sRGB, which leaves 0..1 where sRGB can't show the colour."""
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16) / 116
    # z is kept from turning negative, as in scikit-image, so that imaginary blues come out alike.
    f = torch.stack((y + a / 500, y, (y - b / 200).clamp(min=0)), dim=-3)
    xyz = torch.where(f > 6 / 29, f**3, (f - OFFSET) / SLOPE) * lab.new_tensor(WHITE_D65).view(3, 1, 1)
    to_linear = torch.linalg.inv(torch.tensor(RGB_TO_XYZ, dtype=torch.float64)).to(xyz)
    return _mix_channels(to_linear, xyz)


@_in_float32
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


def clipped_share(lab: Tensor) -> Tensor:
    """The share of pixels that sRGB cannot show, so that `lab_to_rgb` clips them by more than half an 8-bit level.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.

    Returns:
        `(...)`, 0..1.
    """
    outside = (lab_to_unclipped_rgb(lab) - 0.5).abs() > 0.5 + 0.5 / 255
    return outside.any(dim=-3).float().mean(dim=(-2, -1))


@_in_float32
def reduce_chroma(lab: Tensor) -> Tensor:
    """Brings colours that sRGB can't show back to its border, at the same L and hue.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.

    Returns:
        Lab of the same shape: colours that sRGB can show are as they were, the others have just so much less chroma
        that they can be shown. The border is found within 1/1000 of a colour's chroma, by halving.
    """
    outside = ~_is_shown(lab)
    if not outside.any():
        return lab
    # (3, N, 1): a picture that is made of the pixels in question.
    colors = lab.movedim(-3, 0)[:, outside].unsqueeze(-1)
    shown, not_shown = torch.zeros_like(colors[:1]), torch.ones_like(colors[:1])
    for _ in range(10):
        middle = (shown + not_shown) / 2
        fits = _is_shown(torch.cat((colors[:1], colors[1:] * middle)))
        shown, not_shown = torch.where(fits, middle, shown), torch.where(fits, not_shown, middle)
    result = lab.clone()
    result.movedim(-3, 0)[1:, outside] = (colors[1:] * shown).squeeze(-1)
    return result


def _is_shown(lab: Tensor) -> Tensor:
    """Whether sRGB can show colours, `(..., H, W)`."""
    linear, (below, above) = _lab_to_linear(lab), GAMUT_MARGIN
    return ((linear >= -below) & (linear <= 1 + above)).all(dim=-3)


@_in_float32
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
    linear = _lab_to_linear(lab)
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


@_in_float32
def colorfulness(rgb: Tensor) -> Tensor:
    """Colourfulness M3 of Hasler and Süsstrunk, "Measuring colorfulness in natural images" (2003), eq. 6.

    With rg = R - G (signed) and yb = (R + G)/2 - B: the norm of their standard deviations plus 0.3 times the norm of
    their means.

    Args:
        rgb: `(..., 3, H, W)`, 0..1.

    Returns:
        `(...)`, on the paper's scale, which is that of RGB in 0..255: 0 is gray, 100 is extremely colourful.
    """
    return _spread_and_mean(_opponent(rgb))


@_in_float32
def colorfulness_abs(rgb: Tensor) -> Tensor:
    """As `colorfulness`, but with the absolute values of rg and yb: not what the paper says, but what much published
    code computes, DDColor's among it. Less than `colorfulness` where a picture has opposite colours.
    """
    return _spread_and_mean(_opponent(rgb).abs())


def _opponent(rgb: Tensor) -> Tensor:
    """The signed rg and yb of `colorfulness`: RGB `(..., 3, H, W)` in 0..1 to `(..., 2, H * W)` on the scale of 255."""
    red, green, blue = (255 * rgb).flatten(-2).unbind(-2)
    return torch.stack((red - green, (red + green) / 2 - blue), dim=-2)


def _spread_and_mean(opponent: Tensor) -> Tensor:
    spread = opponent.std(dim=-1, correction=0).norm(dim=-1)
    return spread + 0.3 * opponent.mean(dim=-1).norm(dim=-1)


@_in_float32
def ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """The colour difference CIEDE2000 with all weights 1: Sharma, Wu and Dalal, "The CIEDE2000 color-difference
    formula: implementation notes, supplementary test data, and mathematical observations" (2005), eq. 2 to 22.

    Args:
        first: Lab `(B, 3, H, W)`, L in 0..100.
        second: Lab of the same shape; the order does not matter.

    Returns:
        float32 `(B, H, W)`; about 1 is just noticeable.
    """
    lightness_1, a_1, b_1 = first.unbind(-3)
    lightness_2, a_2, b_2 = second.unbind(-3)
    # Eq. 2 to 7: a is stretched near the gray axis; chroma and hue of the stretched colours. Gray has hue 0.
    shrinking = _share_of_25((torch.hypot(a_1, b_1) + torch.hypot(a_2, b_2)) / 2)
    a_1, a_2 = (a * (1.5 - 0.5 * shrinking) for a in (a_1, a_2))
    chroma_1, chroma_2 = torch.hypot(a_1, b_1), torch.hypot(a_2, b_2)
    hue_1, hue_2 = (torch.rad2deg(torch.atan2(b, a)) % 360 for a, b in ((a_1, b_1), (a_2, b_2)))
    # Eq. 8 to 14: differences, and means; a hue that has no chroma counts for nothing. 180 is let exceed by rounding.
    no_hue = chroma_1 * chroma_2 == 0
    turn = hue_2 - hue_1
    far = (turn.abs() > 180 + 1e-4) & ~no_hue
    turn = torch.where(far, turn - 360 * turn.sign(), turn).masked_fill(no_hue, 0)
    lightness_step, chroma_step = lightness_2 - lightness_1, chroma_2 - chroma_1
    hue_step = 2 * (chroma_1 * chroma_2).sqrt() * _sin(turn / 2)
    lightness, chroma = (lightness_1 + lightness_2) / 2, (chroma_1 + chroma_2) / 2
    hues = hue_1 + hue_2
    hue = torch.where(far, (hues + torch.where(hues < 360, 360.0, -360.0)) / 2, hues / 2)
    hue = torch.where(no_hue, hues, hue)
    # Eq. 15 to 22: weights, and the rotation of the blues.
    weight = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    off_middle = (lightness - 50) ** 2
    lightness_term = lightness_step / (1 + 0.015 * off_middle / (20 + off_middle).sqrt())
    chroma_term = chroma_step / (1 + 0.045 * chroma)
    hue_term = hue_step / (1 + 0.015 * chroma * weight)
    rotation = -2 * _share_of_25(chroma) * _sin(60 * (-(((hue - 275) / 25) ** 2)).exp())
    squared = lightness_term**2 + chroma_term**2 + hue_term**2 + rotation * chroma_term * hue_term
    return squared.clamp(min=0).sqrt()


def _share_of_25(chroma: Tensor) -> Tensor:
    """`sqrt(C^7 / (C^7 + 25^7))`, without the seventh power of large numbers."""
    ratio = (chroma / 25) ** 7
    return (ratio / (ratio + 1)).sqrt()


def _sin(degrees: Tensor) -> Tensor:
    return torch.sin(torch.deg2rad(degrees))


def _cos(degrees: Tensor) -> Tensor:
    return torch.cos(torch.deg2rad(degrees))


@cache
def ab_bins() -> Tensor:
    """The bins that the ab plane is quantized into: nodes of a grid with step `BIN_STEP`.

    A node is a bin if it is a corner of a grid square that holds a colour of 8-bit sRGB. Every such colour so lies
    between four bins, and within 7.08 Lab units (half a diagonal) of the nearest. There are 309; the 313 of Zhang,
    Isola and Efros (2016) follow no rule that was published.

    Returns:
        float32 `(Q, 2)`, in Lab units, sorted by a, then b.
    """
    # The surface of the RGB cube has all its ab values: the line of equal ab through a colour leaves the cube there.
    levels = torch.arange(256.0) / 255
    first, second = torch.meshgrid(levels, levels, indexing="ij")
    faces = []
    for axis, level in product(range(3), (0.0, 1.0)):
        face = [first, second]
        face.insert(axis, torch.full_like(first, level))
        faces.append(torch.stack(face))
    ab = rgb_to_lab(torch.stack(faces))[:, 1:].movedim(1, -1).flatten(0, -2)
    # Grays are to fall into the same square whatever the rounding of the processor.
    squares = (ab.round(decimals=2) / BIN_STEP).floor().unique(dim=0)
    corners = torch.tensor(list(product((0.0, 1.0), repeat=2)))
    return ((squares.unsqueeze(1) + corners).flatten(0, 1).unique(dim=0) * BIN_STEP).contiguous()


def nearest_bins(ab: Tensor, bins: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """The bins closest to each pixel.

    Args:
        ab: `(B, 2, H, W)` in Lab units.
        bins: `(Q, 2)`, see `ab_bins`.
        count: how many bins of each pixel.

    Returns:
        Distances in Lab units and numbers of bins, each `(B, H, W, count)`, the nearest first.
    """
    with torch.autocast(device_type=ab.device.type, enabled=False):
        pixels = ab.float().permute(0, 2, 3, 1).flatten(1, 2)
        distances = torch.cdist(
            pixels, bins.expand(len(ab), -1, -1), compute_mode="donot_use_mm_for_euclid_dist"
        )  # the other mode loses up to a unit where TF32 is allowed
        near = distances.topk(count, largest=False)
    shape = (len(ab), *ab.shape[-2:], count)
    return near.values.view(shape), near.indices.view(shape)


def grid_squares(ab: Tensor) -> Tensor:
    """The number of the grid node that is closest to each pixel. Of the pixels of a photo, that is the closest of
    `ab_bins`; no table of distances is needed, and any ab has a number.

    Args:
        ab: `(B, 2, H, W)` in Lab units.

    Returns:
        int64 `(B, H, W)`, from 0 to `GRID_SIDE ** 2 - 1`.
    """
    half = GRID_SIDE // 2
    a, b = ((ab.float() / BIN_STEP).round().clamp(-half, half).long() + half).unbind(1)
    return a * GRID_SIDE + b


def is_colorless(rgb: Tensor) -> bool:
    """Whether chroma stays below `COLORLESS_CHROMA` Lab units all over a `(3, H, W)` picture in 0..1."""
    return bool(rgb_to_lab(rgb)[1:].norm(dim=0).max() < COLORLESS_CHROMA)
