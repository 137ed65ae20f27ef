"""A light decoder that stops at a fraction of the picture's resolution, because colours are smooth."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from colorization.decoders.base import Decoder, checked_width, output_layer, resize
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
                _Step(
                    *_convolution(current + self.channels[index], after, kernel=1),
                    *(layer for _ in range(depth) for layer in _convolution(after, after, kernel=3)),
                )
            )
            current = after
        self.output = output_layer(current, out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        deepest, *finer = self.joined
        x = self.steps[0](features[deepest])
        for index, step in zip(finer, self.steps[1:], strict=True):
            x = step(features[index], x)
        size = [side * self.reductions[-1] for side in features[-1].shape[-2:]]
        return resize(self.output(x), size)


class _Step(nn.Sequential):
    """A 1x1 convolution of the upsampled previous step and a map, and further layers.

    The previous step is convolved before it is upsampled: the same sums, in a quarter of the time.
    """

    def forward(self, feature: Tensor, previous: Tensor | None = None) -> Tensor:
        merge, *layers = self
        assert isinstance(merge, nn.Conv2d)
        x = F.conv2d(feature, merge.weight[:, -feature.shape[1] :])
        if previous is not None:
            x = x + resize(F.conv2d(previous, merge.weight[:, : previous.shape[1]]), x.shape[-2:])
        for layer in layers:
            x = layer(x)
        return x


def _convolution(in_channels: int, out_channels: int, kernel: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.GroupNorm(out_channels // 8, out_channels),
        nn.ReLU(inplace=True),
    )
