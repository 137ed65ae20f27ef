"""The distance between predicted and true ab."""

import math
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional as F

from colorization.color import normalize_ab
from colorization.errors import ConfigError
from colorization.objectives.terms.base import Term


class Pixel(Term):
    """Mean pixelwise distance between predicted and true ab, both divided by 110.

    Args:
        loss: `mse`, as in the original description; `l1`, whose optimum is the median colour, less brown than the mean;
            or `huber` (Huber, 1964), the square of small errors and the absolute value of large ones.
        delta: where Huber's loss changes from quadratic to linear, in Lab units.
        summed: see `Term`.
    """

    def __init__(self, loss: Literal["mse", "l1", "huber"] = "l1", delta: float = 10.0, **summed: Any) -> None:
        super().__init__(**summed)
        if not 0 < delta < math.inf:
            raise ConfigError(f"objective: delta={delta:g} is out of range: give a distance in Lab units, as 10")
        self.kind = loss
        self.delta = delta

    def forward(self, lightness: Tensor | None, predicted: Tensor, ab: Tensor) -> Tensor:
        predicted, ab = normalize_ab(predicted.float()), normalize_ab(ab.float())
        if self.kind == "mse":
            return F.mse_loss(predicted, ab)
        if self.kind == "l1":
            return F.l1_loss(predicted, ab)
        return F.huber_loss(predicted, ab, delta=float(normalize_ab(ab.new_tensor(self.delta))))
