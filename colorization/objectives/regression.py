"""Predicts ab for each pixel; the loss is the distance to the true ab."""

from typing import Any, Literal

from torch import Tensor

from colorization.color import denormalize_ab
from colorization.objectives.base import Objective
from colorization.objectives.terms.pixel import Pixel


class Regression(Objective):
    """The network's output is ab divided by 110.

    Args:
        loss, delta: the distance, see `Pixel`.
        summed: `weight` and `terms`, see `Objective`.
    """

    out_channels = 2

    def __init__(self, loss: Literal["mse", "l1", "huber"] = "mse", delta: float = 10.0, **summed: Any) -> None:
        super().__init__(**summed)
        self.distance = Pixel(loss, delta)

    def pixel_loss(self, prediction: Tensor, ab: Tensor) -> Tensor:
        return self.distance(None, self.decode(prediction), ab)

    def decode(self, prediction: Tensor) -> Tensor:
        return denormalize_ab(prediction.float())
