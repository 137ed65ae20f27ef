"""A backbone in thirty lines."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from colorization.backbones import Backbone


class Pyramid(Backbone):
    """Strided convolutions: each step halves the picture's sides.

    Args:
        widths: the channels of each step, finest first.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        self.channels = tuple(widths)
        self.reductions = tuple(2 ** (step + 1) for step in range(len(widths)))
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GELU())
            for before, after in itertools.pairwise((3, *widths))
        )

    def _features(self, rgb: Tensor) -> list[Tensor]:
        maps = [rgb]
        for step in self.steps:
            maps.append(step(maps[-1]))
        return maps[1:]
