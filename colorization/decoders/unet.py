"""A U-Net decoder: skip connections from every map of the pyramid."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colorization.decoders.base import Decoder, checked_width, output_layer, resize


class UNetPyramid(Decoder):
    """Upsamples from the deepest map to the picture's resolution, with a skip connection from each map.

    Each step resizes bilinearly and then convolves, which avoids checkerboards (Odena et al., "Deconvolution and
    Checkerboard Artifacts", 2016); GroupNorm (Wu and He, 2018) makes the result independent of the batch.

    Args:
        channels, reductions, out_channels: see `Decoder`.
        width: maximum number of channels of a step. A step has half the channels of its skip connection, at least 32.

    Attributes:
        map_channels: channels of each map that `upsample` returns, coarsest first.
        map_reductions: how many times smaller than the picture each one is.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], out_channels: int, width: int) -> None:
        super().__init__(channels, reductions, out_channels)
        checked_width(width)
        current = self.channels[-1]
        self.map_channels: list[int] = []
        self.map_reductions: list[int] = []
        self.joins = nn.ModuleList()
        for skip, reduction in zip(reversed(self.channels[:-1]), reversed(self.reductions[:-1]), strict=True):
            after = _step_width(skip, width)
            self.joins.append(_Step(current + skip, after))
            self._remember(after, reduction)
            current = after
        # From the finest map to the picture there are no skip connections.
        self.tail = nn.ModuleList()
        for halvings in reversed(range(math.ceil(math.log2(self.reductions[0])))):
            after = max(current // 2, 16)
            self.tail.append(_Step(current, after, convolutions=1))
            self._remember(after, 2**halvings)
            current = after
        if not self.map_channels:  # a single map at full resolution
            self._remember(current, self.reductions[0])

    def _remember(self, channels: int, reduction: int) -> None:
        self.map_channels.append(channels)
        self.map_reductions.append(reduction)

    def upsample(self, features: list[Tensor]) -> list[Tensor]:
        """The pyramid, finest map first, to the map after each step, coarsest first; the last one has the input's
        resolution.
        """
        *skips, x = features
        maps = []
        for step, skip in zip(self.joins, reversed(skips), strict=True):
            x = step(torch.cat((resize(x, skip.shape[-2:]), skip), dim=1))
            maps.append(x)
        full = tuple(side * self.reductions[0] for side in x.shape[-2:])
        for halvings, step in zip(reversed(range(len(self.tail))), self.tail, strict=True):
            x = step(resize(x, [-(-side // 2**halvings) for side in full]))
            maps.append(x)
        return maps or [x]


class UNetDecoder(UNetPyramid):
    """A 3x3 convolution on the finest map of `UNetPyramid`.

    Args:
        channels, reductions, out_channels, width: see `UNetPyramid`.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], out_channels: int, width: int = 256) -> None:
        super().__init__(channels, reductions, out_channels, width)
        self.output = output_layer(self.map_channels[-1], out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.output(self.upsample(features)[-1])


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
