"""Predict two colours for each pixel, a safe and a vivid one, with everything in between at prediction."""

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
    """The network's map are two times ab divided by 110, and `vividness` says where between them the colours lie.

    The safe colours minimize the mean absolute error, which makes them the median of what the colours may be, and pale.
    The vivid colours are to be as colourful as the photo is as well:

        safe     mean |ab - truth|
        vivid    mean |ab - truth| + pull * |C(ab) - C(truth)|,    C(ab) = sqrt(var a + var b) + 0.37 |mean ab|

    C being the colourfulness of Hasler and Süsstrunk ("Measuring colourfulness in natural images", 2003) in its form
    for CIE Lab. It is that of the whole photo, so that colour goes to where it costs the least error.

    Args:
        vividness: 0 is the safe end, 1 the vivid one. Can be set to another value at any time.
        pull: what a difference in colourfulness weighs against a mean error, both in Lab units.
        share: what the loss of the vivid colours is multiplied by. It is small, so that the features are learned for
            the safe colours, and the vivid ones are made of the same.
        summed: `weight` and `terms`, see `Objective`.
    """

    out_channels = 4

    def __init__(self, vividness: float = 0.5, pull: float = 1.0, share: float = 0.1, **summed: Any) -> None:
        super().__init__(**summed)
        for key, value in (("pull", pull), ("share", share)):
            if not 0 < value < math.inf:
                raise ConfigError(f"objective.{key}={value:g} can't work: give a number above 0")
        self.vividness = vividness
        self.pull = pull
        self.share = share

    @property
    def vividness(self) -> float:  # type: ignore[override]
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
    """Of each picture, `(B,)`, in units of ab."""
    pixels = ab.flatten(2)
    spread = pixels.var(dim=2, correction=0).sum(dim=1)
    # The slope of the root is infinite at a uniform colour: a tenth of a Lab unit is next to none.
    nearly_none = (0.1 / AB_SCALE) ** 2
    return (spread + nearly_none).sqrt() + 0.37 * (pixels.mean(dim=2).square().sum(dim=1) + nearly_none).sqrt()
