"""Reward for colourful pictures."""

import math
from typing import Any

from torch import Tensor

from colorization.color import colorfulness, colorfulness_abs, lab_to_rgb, merge_lab
from colorization.errors import ConfigError
from colorization.objectives.terms.base import Term


class Colorfulness(Term):
    """1 - M/scale, M being the colourfulness of Hasler and Süsstrunk (2003), as in DDColor (Kang et al., 2023).

    It ignores the true colours: combine it with a loss that does not.

    Args:
        scale: the colourfulness at which the term is zero. The paper's scale is that of RGB in 0..255; DDColor's code
            has RGB in 0..1, which is a scale of 255.
        absolute: whether M is of absolute differences of channels, as in DDColor's code, see `colorfulness_abs`.
        summed: see `Term`.
    """

    def __init__(self, scale: float = 100.0, absolute: bool = False, **summed: Any) -> None:
        super().__init__(**summed)
        if not 0 < scale < math.inf:
            raise ConfigError(
                f"objective.terms: scale={scale:g} of colourfulness is out of range: give for example 100"
            )
        self.scale = scale
        self.measure = colorfulness_abs if absolute else colorfulness

    def forward(self, lightness: Tensor, predicted: Tensor, ab: Tensor) -> Tensor:
        return (1 - self.measure(lab_to_rgb(merge_lab(lightness, predicted))) / self.scale).mean()
