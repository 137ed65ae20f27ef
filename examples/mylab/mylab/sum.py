"""A decoder in twenty lines."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from colorization.decoders.base import Decoder, output_layer


class Sum(Decoder):
    """Brings all maps to the size of the finest one, and adds them.

    Args:
        channels, reductions, out_channels: see `Decoder`.
        width: channels of the sum.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], out_channels: int, width: int = 32) -> None:
        super().__init__(channels, reductions, out_channels)
        self.project = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.output = output_layer(width, out_channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        height, width = features[0].shape[-2:]
        maps = [project(map) for project, map in zip(self.project, features, strict=True)]
        total = sum(F.interpolate(map, (height, width), mode="bilinear", align_corners=False) for map in maps)
        size = (height * self.reductions[0], width * self.reductions[0])
        return F.interpolate(self.output(F.gelu(total)), size, mode="bilinear", align_corners=False)
