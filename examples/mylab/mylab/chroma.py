"""An objective in twenty lines."""

from typing import Any

from torch import Tensor

from colorization.color import denormalize_ab
from colorization.objectives.base import Objective


class ChromaWeighted(Objective):
    """The absolute error of ab, where colourful pixels of the truth count more.

    Args:
        strength: a pixel of chroma 110 counts 1 + `strength` times as much as a gray one.
        summed: `weight` and `terms`, see `Objective`.
    """

    out_channels = 2

    def __init__(self, strength: float = 2.0, **summed: Any) -> None:
        super().__init__(**summed)
        self.strength = strength

    def pixel_loss(self, prediction: Tensor, ab: Tensor) -> Tensor:
        weight = 1 + self.strength * ab.norm(dim=1, keepdim=True) / 110
        return (weight * (self.decode(prediction) - ab).abs()).mean() / 110

    def decode(self, prediction: Tensor) -> Tensor:
        return denormalize_ab(prediction.float())
