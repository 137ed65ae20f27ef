"""Which colours sRGB can show, and what becomes of the others."""

import torch
from torch import Tensor

from colorization.color.conversion import in_blocks, in_float32, lab_to_linear

# How far linear RGB may leave 0..1 at both ends and count as shown: the rounding of float32, and that of the matrices,
# by which white itself is outside.
GAMUT_MARGIN = (2e-6, 1e-4)
# Linear RGB half an 8-bit level below black and above white.
_HALF_BELOW, _HALF_ABOVE = -0.5 / 255 / 12.92, ((1 + 0.5 / 255 + 0.055) / 1.055) ** 2.4
# More than the chroma of any colour of sRGB, which is 134 at most.
_MOST_CHROMA = 150.0


@in_float32
def clipped_share(lab: Tensor) -> Tensor:
    """The share of pixels that sRGB cannot show, so that `lab_to_rgb` clips them by more than half an 8-bit level.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.

    Returns:
        `(...)`, 0..1.
    """
    linear = lab_to_linear(lab)
    outside = (linear.amin(dim=-3) < _HALF_BELOW) | (linear.amax(dim=-3) > _HALF_ABOVE)
    return outside.float().mean(dim=(-2, -1))


@in_float32
def reduce_chroma(lab: Tensor) -> Tensor:
    """Brings colours that sRGB can't show back to its border, at the same L and hue.

    Args:
        lab: `(..., 3, H, W)`, L in 0..100.

    Returns:
        Lab of the same shape: colours that sRGB can show are as they were, the others have just so much less chroma
        that they can be shown. The border is found within 1/1000 of a colour's chroma, by halving.
    """
    (outside,) = (_excess(lab).flatten() > 0).nonzero(as_tuple=True)
    if not len(outside):
        return lab
    lab = lab.clone(memory_format=torch.contiguous_format)
    pixels = lab.shape[-2] * lab.shape[-1]
    places = outside + outside // pixels * (2 * pixels)  # of L in memory; a and b are further on
    values = lab.view(-1)
    lightness, a, b = (values[places + channel * pixels] for channel in range(3))
    # Beyond anything that sRGB shows, so that the halving has no long way to go.
    scale = _MOST_CHROMA / torch.hypot(a, b).clamp(min=_MOST_CHROMA)
    a, b = a * scale, b * scale
    share, step = torch.zeros_like(a), 1.0
    for _ in range(10):
        step /= 2
        wider = share + step
        fits = _excess(torch.stack((lightness, a * wider, b * wider)).unsqueeze(-1)).flatten() <= 0
        share.add_(fits, alpha=step)
    values[places + pixels], values[places + 2 * pixels] = a * share, b * share
    return lab


@in_blocks
def _excess(lab: Tensor) -> Tensor:
    """How far linear sRGB of colours leaves what counts as shown, `(..., 1, H, W)`; 0 or less where it does not."""
    red, green, blue = lab_to_linear(lab).unbind(-3)
    below, above = GAMUT_MARGIN
    lowest = torch.minimum(torch.minimum(red, green), blue)
    highest = torch.maximum(torch.maximum(red, green), blue)
    return torch.maximum(highest.sub_(1 + above), lowest.neg_().sub_(below)).unsqueeze(-3)
