"""Which colours sRGB can show, and what becomes of the others."""

import torch
from torch import Tensor

from colorization.color.conversion import in_float32, lab_to_linear

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
    outside = ~_is_shown(lab)
    if not outside.any():
        return lab
    # (3, N, 1): a picture that is made of the pixels in question.
    colors = lab.movedim(-3, 0)[:, outside].unsqueeze(-1)
    # Beyond anything that sRGB shows, so that the halving has no long way to go.
    chroma = colors[1:].norm(dim=0)
    colors = torch.cat((colors[:1], colors[1:] * (_MOST_CHROMA / chroma.clamp(min=_MOST_CHROMA))))
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
    linear, (below, above) = lab_to_linear(lab), GAMUT_MARGIN
    return ((linear >= -below) & (linear <= 1 + above)).all(dim=-3)
