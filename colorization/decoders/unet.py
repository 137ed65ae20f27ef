"""A U-Net decoder: skip connections from every map of the pyramid."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorization.decoders.base import Decoder, checked_width, output_layer


class UNetDecoder(Decoder):
    """Upsamples from the deepest map to the finest, joining each map of the pyramid on the way.

    Each step resizes bilinearly and then convolves, which leaves no checkerboard (Odena et al., "Deconvolution and
    Checkerboard Artifacts", 2016); GroupNorm (Wu and He, 2018) makes the result independent of the batch.

    Args:
        channels, reductions, out_channels: see `Decoder`.
        width: the most channels that a step has. A step has half the channels of the map it joins, 32 at the least.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], out_channels: int, width: int = 256) -> None:
        super().__init__(channels, reductions, out_channels)
        checked_width(width)
        current = self.channels[-1]
        steps = []
        for skip in reversed(self.channels[:-1]):
            after = _step_width(skip, width)
            steps.append(_Step(current + skip, after))
            current = after
        self.joins = nn.ModuleList(steps)
        # From the finest map to the picture there is nothing left to join.
        self.tail = nn.ModuleList()
        for _ in range(math.ceil(math.log2(self.reductions[0]))):
            after = max(current // 2, 16)
            self.tail.append(_Step(current, after, convolutions=1))
            current = after
        self.output = output_layer(current, out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        *skips, x = features
        for step, skip in zip(self.joins, reversed(skips), strict=True):
            x = step(torch.cat((_resize(x, skip.shape[-2:]), skip), dim=1))
        full = tuple(side * self.reductions[0] for side in x.shape[-2:])
        for halvings, step in zip(reversed(range(len(self.tail))), self.tail, strict=True):
            x = step(_resize(x, [-(-side // 2**halvings) for side in full]))
        return self.output(x)


class _Step(nn.Sequential):
    """3x3 convolutions, each with GroupNorm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, convolutions: int = 2) -> None:
        layers: list[nn.Module] = []
        for before in (in_channels, *[out_channels] * (convolutions - 1)):
            layers += [
                nn.Conv2d(before, out_channels, 3, padding=1, bias=False),
                nn.GroupNorm(_groups(out_channels), out_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


def _step_width(skip_channels: int, most: int) -> int:
    width = min(max(skip_channels // 2, 32), most)
    return max(width // 8 * 8, 8)


def _groups(channels: int) -> int:
    return max(channels // 8, 1)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
