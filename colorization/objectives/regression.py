"""Predict the two numbers a and b of each pixel, and punish the distance."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from colorization.color import denormalize_ab, normalize_ab
from colorization.errors import ConfigError
from colorization.objectives.base import Objective


class Regression(Objective):
    """Mean pixelwise distance between predicted and true ab, both divided by 110.

    Args:
        loss: `mse`, the original's; `l1`, which prefers the median colour to the mean and so mixes less brown; or
            `huber` (Huber, 1964), the square of small errors and the absolute value of large ones.
        delta: where Huber's loss turns from square to straight, in Lab units.
    """

    out_channels = 2

    def __init__(self, loss: Literal["mse", "l1", "huber"] = "mse", delta: float = 10.0) -> None:
        super().__init__()
        if delta <= 0:
            raise ConfigError(f"objective.delta={delta:g} is too small: give a distance in Lab units, for instance 10")
        self.kind = loss
        self.delta = delta

    def loss(self, prediction: Tensor, ab: Tensor) -> dict[str, Tensor]:
        prediction, target = prediction.float(), normalize_ab(ab)
        if self.kind == "mse":
            loss = F.mse_loss(prediction, target)
        elif self.kind == "l1":
            loss = F.l1_loss(prediction, target)
        else:
            loss = F.huber_loss(prediction, target, delta=float(normalize_ab(ab.new_tensor(self.delta))))
        return {"loss": loss}

    def decode(self, prediction: Tensor) -> Tensor:
        return denormalize_ab(prediction.float())
