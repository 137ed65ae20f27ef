"""Predict two colours for each pixel, a safe and a vivid one, with everything in between at prediction."""

import math
from typing import Any

import torch
from torch import Tensor

from colorization.color import denormalize_ab
from colorization.errors import ConfigError
from colorization.objectives.base import Objective


class Vivid(Objective):
    """The network's map are two times ab divided by 110, and `vividness` says where between them the colours lie.

    Both are judged photo by photo, as PSNR is: by the logarithm of a photo's mean squared error in dB. That is what the
    safe colours minimize, and it makes them a mean of what the colours may be, which is pale. The vivid colours are to
    be as colourful as the photo is as well:

        safe     10 log10(mean |ab - truth|^2 + floor^2)
        vivid    the same + pull * |C(ab) - C(truth)|,    C(ab) = sqrt(var a + var b) + 0.37 |mean ab|

    C being the colourfulness of Hasler and Süsstrunk ("Measuring colourfulness in natural images", 2003) in its form
    for CIE Lab. So a vivid photo gets its colour where that costs the least PSNR.

    Args:
        vividness: 0 is the safe end, 1 the vivid one. Can be set to another value at any time.
        pull: how many dB one unit of colourfulness is worth to the vivid colours.
        floor: errors far below it, in Lab units, count little: photos of next to no colour would outweigh all others.
        summed: `weight` and `terms`, see `Objective`.
    """

    out_channels = 4

    def __init__(self, vividness: float = 0.5, pull: float = 0.3, floor: float = 4.0, **summed: Any) -> None:
        super().__init__(**summed)
        for key, value in (("pull", pull), ("floor", floor)):
            if not 0 < value < math.inf:
                raise ConfigError(f"objective.{key}={value:g} can't work: give a number above 0")
        self.vividness = vividness
        self.pull = pull
        self.floor = floor

    @property
    def vividness(self) -> float:  # type: ignore[override]
        return self._vividness

    @vividness.setter
    def vividness(self, value: float) -> None:
        if not 0 <= value <= 1:
            raise ConfigError(f"vividness={value:g} is out of range: give a number from 0 (safe) to 1 (vivid)")
        self._vividness = value

    def pixel_loss(self, prediction: Tensor, ab: Tensor) -> Tensor:
        safe, vivid = denormalize_ab(prediction.float()).chunk(2, dim=1)
        ab = ab.float()
        too_pale = (_colorfulness(vivid) - _colorfulness(ab)).abs()
        # A tenth: near 1, as other losses are.
        return ((self._decibels(safe, ab) + self._decibels(vivid, ab) + self.pull * too_pale) / 10).mean()

    def _decibels(self, predicted: Tensor, ab: Tensor) -> Tensor:
        squared = (predicted - ab).square().sum(dim=1).mean(dim=(1, 2))
        return 10 * torch.log10(squared + self.floor**2)

    def decode(self, prediction: Tensor) -> Tensor:
        safe, vivid = denormalize_ab(prediction.float()).chunk(2, dim=1)
        return torch.lerp(safe, vivid, self.vividness)


def _colorfulness(ab: Tensor) -> Tensor:
    """In Lab units, `(B,)`."""
    pixels = ab.flatten(2)
    spread = pixels.var(dim=2, correction=0).sum(dim=1)
    # The root's slope is infinite at a uniform colour.
    return (spread + 1e-2).sqrt() + 0.37 * (pixels.mean(dim=2).square().sum(dim=1) + 1e-2).sqrt()
