"""Colourfulness and colour differences."""

import torch
from torch import Tensor

from colorization.color.conversion import in_float32, rgb_to_lab

# A picture with less chroma everywhere has no colour to learn from.
COLORLESS_CHROMA = 5.0
# Every colour whose highest and lowest 8-bit level lie so far apart has more chroma than that.
_COLORFUL_RANGE = 20


@in_float32
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


@in_float32
def colorfulness_abs(rgb: Tensor) -> Tensor:
    """As `colorfulness`, but with the absolute values of rg and yb: not as in the paper, but as in much published code,
    DDColor's for example. Lower than `colorfulness` if a picture has opposite colours.
    """
    return _spread_and_mean(_opponent(rgb).abs())


def _opponent(rgb: Tensor) -> Tensor:
    """The signed rg and yb of `colorfulness`: RGB `(..., 3, H, W)` in 0..1 to `(..., 2, H * W)` on the scale of 255."""
    red, green, blue = (255 * rgb).flatten(-2).unbind(-2)
    return torch.stack((red - green, (red + green) / 2 - blue), dim=-2)


def _spread_and_mean(opponent: Tensor) -> Tensor:
    spread = opponent.std(dim=-1, correction=0).norm(dim=-1)
    return spread + 0.3 * opponent.mean(dim=-1).norm(dim=-1)


@in_float32
def saturated(rgb: Tensor, *, factor: float) -> Tensor:
    """RGB with its distance to gray multiplied, as an image editor's saturation: the gray of ITU-R BT.601 is kept.

    Args:
        rgb: `(..., 3, H, W)`, 0..1.
        factor: 0 is gray, 1 changes nothing.

    Returns:
        As `rgb`, clipped to 0..1.
    """
    gray = torch.einsum("...chw,c->...hw", rgb, rgb.new_tensor((0.299, 0.587, 0.114))).unsqueeze(-3)
    return torch.lerp(gray.expand_as(rgb), rgb, factor).clamp(0, 1)


@in_float32
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
    # Eq. 8 to 14: differences, and means; hue is ignored without chroma. The tolerance at 180 is for rounding.
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
    """`sqrt(C^7 / (C^7 + 25^7))`, without overflow of the seventh power."""
    ratio = (chroma / 25) ** 7
    return (ratio / (ratio + 1)).sqrt()


def _sin(degrees: Tensor) -> Tensor:
    return torch.sin(torch.deg2rad(degrees))


def _cos(degrees: Tensor) -> Tensor:
    return torch.cos(torch.deg2rad(degrees))


def is_colorless(rgb: Tensor) -> bool:
    """Whether chroma stays below `COLORLESS_CHROMA` Lab units everywhere in a `(3, H, W)` picture, uint8 or in 0..1."""
    if rgb.dtype == torch.uint8 and is_colorful(rgb):
        return False  # most photos, without a conversion
    a, b = rgb_to_lab(rgb)[1:]
    return bool((a * a + b * b).max() < COLORLESS_CHROMA**2)  # the norm of a short axis takes ten times as long


def is_colorful(rgb: Tensor) -> bool:
    """Whether a uint8 `(3, H, W)` picture has a colour whose levels alone tell that its chroma is far above
    `COLORLESS_CHROMA`. False decides nothing.
    """
    return int((rgb.amax(dim=0) - rgb.amin(dim=0)).max()) >= _COLORFUL_RANGE
