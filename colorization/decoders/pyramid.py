"""A light decoder that stops at a fraction of the picture's resolution, because colours are smooth."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from colorization.decoders.base import Decoder, checked_width, output_layer
from colorization.errors import ConfigError


class PyramidDecoder(Decoder):
    """Merges the maps of the pyramid from the deepest one up to a fraction of the resolution, then upsamples.

    At each map, a 1x1 convolution merges the previous step and the map to the step's width; `depth` 3x3 convolutions
    follow, each with GroupNorm and ReLU. The width halves when the resolution doubles, so that all 3x3 convolutions
    take the same time: with `width=256` and `stop=4` 9.4 million multiplications each on 128 x 128 px.

    Colours at a quarter of the resolution, sharpened along the edges of the lightness as in prediction, are hard to
    tell from full resolution (JPEG and video store them at half). A full-resolution decoder spends most of its time on
    the finer maps.

    Args:
        channels, reductions, out_channels: see `Decoder`.
        width: channels at the deepest map.
        depth: number of 3x3 convolutions at each map.
        stop: maps with a smaller reduction are not used.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        out_channels: int,
        width: int = 256,
        depth: int = 2,
        stop: int = 4,
    ) -> None:
        super().__init__(channels, reductions, out_channels)
        checked_width(width)
        if depth < 1:
            raise ConfigError(f"decoder.depth={depth} is too small: give 1 or more")
        if not 1 <= stop <= self.reductions[-1]:
            raise ConfigError(f"decoder.stop={stop} is out of range for this backbone: give 1 to {self.reductions[-1]}")
        self.joined = [index for index, reduction in enumerate(self.reductions) if reduction >= stop][::-1]
        self.steps = nn.ModuleList()
        current = 0
        for index in self.joined:
            after = max(width * self.reductions[index] // self.reductions[-1], 16) // 8 * 8
            self.steps.append(
                nn.Sequential(
                    _Merge(current, self.channels[index], after),
                    *_normalized(after),
                    *(
                        layer
                        for _ in range(depth)
                        for layer in (nn.Conv2d(after, after, 3, padding=1, bias=False), *_normalized(after))
                    ),
                )
            )
            current = after
        self.output = output_layer(current, out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        x: Tensor | None = None
        for index, (merge, *layers) in zip(self.joined, self.steps, strict=True):
            x = merge(x, features[index])
            for layer in layers:
                x = layer(x)
        size = [side * self.reductions[-1] for side in features[-1].shape[-2:]]
        return _resize(self.output(x), size)


class _Merge(nn.Conv2d):
    """A 1x1 convolution of the upsampled previous step and a map.

    Its weights are those of their concatenation. The previous step is convolved before it is upsampled, which gives the
    same sums, and takes a quarter of the time.
    """

    def __init__(self, before: int, channels: int, after: int) -> None:
        super().__init__(before + channels, after, 1, bias=False)
        self.before = before

    def forward(self, x: Tensor | None, feature: Tensor) -> Tensor:  # type: ignore[override]
        merged = F.conv2d(feature, self.weight[:, self.before :])
        if x is None:
            return merged
        return merged + _resize(F.conv2d(x, self.weight[:, : self.before]), feature.shape[-2:])


def _normalized(channels: int) -> tuple[nn.Module, ...]:
    return nn.GroupNorm(channels // 8, channels), nn.ReLU(inplace=True)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
