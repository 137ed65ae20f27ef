"""Predicts a safe and a vivid colour for each pixel; prediction interpolates between them."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from colorization.color import denormalize_ab, normalize_ab
from colorization.errors import ConfigError
from colorization.objectives.base import Objective

# In Lab units. An error of this size is as good as none: photos without colour would decide a logarithmic mean.
_LITTLE = 1.0
# In Lab units: the slope of a root is infinite at zero, which is the spread of a uniform colour.
_NONE = 0.1


class Vivid(Objective):
    """The network's output are two pairs of ab divided by 110; `vividness` interpolates between them.

    The safe colours minimize the mean absolute error, so that they are the median of the possible colours, which is
    pale. The vivid colours are the most colourful that the error allows, up to the photo's own colourfulness:

        safe     mean |ab - truth|
        vivid    20 log10 RMSE(ab) - pull * min(C(ab), C(truth))        in dB, for each photo

    C is the colourfulness of Hasler and Süsstrunk ("Measuring colourfulness in natural images", 2003) for CIE Lab,
    sqrt(var a + var b) + 0.37 |mean ab|. It is that of the whole photo, and the error is on a logarithmic scale like
    PSNR, so that chroma is raised in the photos and places where it costs the least PSNR.

    Args:
        vividness: 0 for the safe colours, 1 for the vivid ones. May be changed at any time.
        pull: the dB of error that a unit of colourfulness is worth.
        share: weight of the loss of the vivid colours: small, so that features are learned for the safe colours.
        summed: `weight` and `terms`, see `Objective`.
    """

    out_channels = 4

    def __init__(self, vividness: float = 0.5, pull: float = 0.36, share: float = 1e-3, **summed: Any) -> None:
        super().__init__(**summed)
        for key, value in (("pull", pull), ("share", share)):
            if not 0 < value < math.inf:
                raise ConfigError(f"objective.{key}={value:g} is out of range: give a number above 0")
        self.vividness = vividness
        self.pull = pull
        self.share = share

    @property
    def vividness(self) -> float:
        return self._vividness

    @vividness.setter
    def vividness(self, value: float) -> None:
        if not 0 <= value <= 1:
            raise ConfigError(f"vividness={value:g} is out of range: give a number from 0 (safe) to 1 (vivid)")
        self._vividness = value

    def pixel_loss(self, prediction: Tensor, ab: Tensor) -> Tensor:
        truth = ab.float()
        safe, vivid = prediction.float().chunk(2, dim=1)
        vivid = denormalize_ab(vivid)
        error = 10 * ((vivid - truth).square().mean(dim=(1, 2, 3)) + _LITTLE**2).log10()
        colorful = torch.minimum(_colorfulness(vivid), _colorfulness(truth))
        return F.l1_loss(safe, normalize_ab(truth)) + self.share * (error - self.pull * colorful).mean()

    def decode(self, prediction: Tensor) -> Tensor:
        safe, vivid = denormalize_ab(prediction.float()).chunk(2, dim=1)
        return torch.lerp(safe, vivid, self.vividness)


def _colorfulness(ab: Tensor) -> Tensor:
    """The colourfulness of each picture, `(B,)`, in Lab units."""
    pixels = ab.flatten(2)
    spread = pixels.var(dim=2, correction=0).sum(dim=1)
    return (spread + _NONE**2).sqrt() + 0.37 * (pixels.mean(dim=2).square().sum(dim=1) + _NONE**2).sqrt()
