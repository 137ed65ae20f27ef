"""Base class of decoders."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from colorization.errors import ConfigError


class Decoder(nn.Module, ABC):
    """A pyramid of features to a map at the input's resolution.

    `forward` takes the backbone's maps, finest first, map i of shape `(B, channels[i], H/reductions[i],
    W/reductions[i])`, and returns `(B, out_channels, H, W)`. A decoder reads `reductions` and
    works with any number of maps.

    A new decoder is a subclass in a file of this folder, and one file in `conf/decoder/`.

    Args:
        channels: the backbone's `channels`.
        reductions: the backbone's `reductions`.
        out_channels: the objective's `out_channels`.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.reductions = tuple(reductions)
        self.out_channels = out_channels

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Tensor:
        """The pyramid, finest map first, to `(B, out_channels, H, W)`."""


def checked_width(width: int) -> int:
    """Returns a valid `width`.

    Raises:
        ConfigError: it is too small.
    """
    if width < 16:
        raise ConfigError(f"decoder.width={width} is too small: give 16 or more")
    return width


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """A map `(B, C, H, W)` at another height and width, by bilinear interpolation."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def output_layer(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution initialized close to zero, so that an untrained regression network predicts gray."""
    layer = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    nn.init.normal_(layer.weight, std=1e-3)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
