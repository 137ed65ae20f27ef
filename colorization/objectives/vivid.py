"""Predicts a safe and a vivid colour for each pixel; prediction interpolates between them."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from colorization.color import denormalize_ab, normalize_ab
from colorization.color.conversion import AB_SCALE
from colorization.errors import ConfigError
from colorization.objectives.base import Objective


class Vivid(Objective):
    """The network's output are two pairs of ab divided by 110; `vividness` interpolates between them.

    The safe colours minimize the mean absolute error, so that they are the median of the possible colours, which is
    pale. The vivid colours must also be as colourful as the photo:

        safe     mean |ab - truth|
        vivid    mean |ab - truth| + pull * |C(ab) - C(truth)|,    C(ab) = sqrt(var a + var b) + 0.37 |mean ab|

    C is the colourfulness of Hasler and Süsstrunk ("Measuring colourfulness in natural images", 2003) for CIE Lab. It
    is that of the whole photo, so that chroma is raised where it costs the least error.

    Args:
        vividness: 0 for the safe colours, 1 for the vivid ones. May be changed at any time.
        pull: weight of the difference in colourfulness relative to the mean error, both in Lab units.
        share: weight of the loss of the vivid colours: small, so that features are learned for the safe colours.
        summed: `weight` and `terms`, see `Objective`.
    """

    out_channels = 4

    def __init__(self, vividness: float = 0.5, pull: float = 1.0, share: float = 0.1, **summed: Any) -> None:
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
        safe, vivid = prediction.float().chunk(2, dim=1)
        truth = normalize_ab(ab.float())
        off = (_colorfulness(vivid) - _colorfulness(truth)).abs().mean()
        return F.l1_loss(safe, truth) + self.share * (F.l1_loss(vivid, truth) + self.pull * off)

    def decode(self, prediction: Tensor) -> Tensor:
        safe, vivid = denormalize_ab(prediction.float()).chunk(2, dim=1)
        return torch.lerp(safe, vivid, self.vividness)


def _colorfulness(ab: Tensor) -> Tensor:
    """The colourfulness of each picture, `(B,)`, in units of ab."""
    pixels = ab.flatten(2)
    spread = pixels.var(dim=2, correction=0).sum(dim=1)
    # A tenth of a Lab unit: the slope of the root is infinite at a uniform colour.
    nearly_none = (0.1 / AB_SCALE) ** 2
    return (spread + nearly_none).sqrt() + 0.37 * (pixels.mean(dim=2).square().sum(dim=1) + nearly_none).sqrt()
