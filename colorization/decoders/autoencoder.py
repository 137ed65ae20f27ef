"""The decoder of the original description: from the deepest map only, without skip connections."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from colorization.decoders.base import Decoder, checked_width, output_layer, resize


class AutoencoderDecoder(Decoder):
    """Convolutions and upsampling from the deepest map.

    A convolution to `width` channels; then, for each factor of two up to the picture's resolution, a convolution to
    half the channels (at least 16) and an upsampling by two. The last upsampling follows the output layer, as in the
    original description. With VGG16 at 224 px: 512x7x7 -> 256 -> 128 -> 64 -> 32 -> 16 -> out, 7 px to 224 px.

    Args:
        channels, reductions, out_channels: see `Decoder`.
        width: channels after the first convolution.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], out_channels: int, width: int = 256) -> None:
        super().__init__(channels, reductions, out_channels)
        doublings = self.reductions[-1].bit_length() - 1
        widths = [max(checked_width(width) >> step, 16) for step in range(doublings)] or [width]
        self.first = nn.Conv2d(self.channels[-1], widths[0], 3, padding=1)
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
        self.output = output_layer(widths[-1], out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = F.relu(self.first(features[-1]))
        size = [side * self.reductions[-1] for side in x.shape[-2:]]
        for convolution in self.convolutions:
            x = F.interpolate(F.relu(convolution(x)), scale_factor=2.0, mode="nearest")
        return resize(self.output(x), size)
