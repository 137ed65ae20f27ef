"""Networks as plain PyTorch modules: backbone and decoder in one, and what colours, whatever it is made of."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorization.backbones import Backbone
from colorization.color import normalize_lightness
from colorization.decoders.base import Decoder
from colorization.errors import ConfigError
from colorization.objectives.base import Objective

# The shortest side that a picture is shrunk to, px; it limits the length of narrow pictures.
_LEAST_SIDE = 32
# Options of the decoding that can be changed after training.
KNOBS = ("temperature", "vividness")


class ColorizationNetwork(nn.Module):
    """Pads the picture to a multiple of the backbone's reduction, runs backbone and decoder, and crops the padding.

    Args:
        backbone: lightness to features.
        decoder: features to a map.
    """

    def __init__(self, backbone: Backbone, decoder: Decoder) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        # Channels last: the layout that PyTorch recommends for convolutions in reduced precision.
        self.to(memory_format=torch.channels_last)

    def forward(self, lightness: Tensor) -> Tensor:
        """Normalized lightness `(B, 1, H, W)` in -1..1 to `(B, out_channels, H, W)`, for any H, W >= 1."""
        height, width = lightness.shape[-2:]
        multiple = self.backbone.reductions[-1]
        # Replication: reflection can't pad by more than the picture's size.
        padded = F.pad(lightness, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        return self.decoder(self.backbone(padded))[..., :height, :width]


class LightnessToAb(nn.Module, ABC):
    """All that is needed to colour: lightness in, ab out. Tiles, films, folders and scoring know nothing else.

    Attributes:
        temperature: of the annealed mean that decodes a distribution; None for a network without one.
        vividness: where colours lie between safe (0) and vivid (1); None for a network without the choice.
        fixed: the values of these two that are part of an exported graph, by name; they can't be changed.
    """

    temperature: float | None = None
    vividness: float | None = None
    fixed: Mapping[str, float] = MappingProxyType({})

    @abstractmethod
    def forward(self, lightness: Tensor) -> Tensor:
        """Lightness `(B, 1, H, W)` in 0..100, of a size that `seen_size` gave, to ab in Lab units, float32
        `(B, 2, H, W)`.
        """

    def seen_size(self, height: int, width: int, resolution: int) -> tuple[int, int]:
        """Height and width at which the network sees a picture of any size, for about `resolution * resolution`
        pixels.
        """
        return seen_size(height, width, resolution)


class TrainedNetwork(LightnessToAb):
    """A network and its objective, trained by this project. Its weights have the same names as in a checkpoint.

    Args:
        network: lightness to the objective's map.
        objective: the map to ab.
    """

    def __init__(self, network: ColorizationNetwork, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(self, lightness: Tensor) -> Tensor:
        """Takes any size."""
        return self.objective.decode(self.network(normalize_lightness(lightness)))

    @property
    def temperature(self) -> float | None:
        """The objective's."""
        return self.objective.temperature

    @temperature.setter
    def temperature(self, value: float | None) -> None:
        self.objective.temperature = value

    @property
    def vividness(self) -> float | None:
        """The objective's."""
        return self.objective.vividness

    @vividness.setter
    def vividness(self, value: float | None) -> None:
        self.objective.vividness = value


def knobs(model: LightnessToAb) -> dict[str, float]:
    """The decoding options that a network has, by name, with their values."""
    values = {name: getattr(model, name) for name in KNOBS}
    return {name: value for name, value in values.items() if value is not None}


def set_knob(model: LightnessToAb, name: str, value: float) -> None:
    """Sets a decoding option of a network: its `temperature` or `vividness`.

    Raises:
        ConfigError: it has no such knob, or the value is out of range.
    """
    if getattr(model, name) is None:
        if name in model.fixed:
            raise ConfigError(
                f"{name}={value:g}: this export has {name}={model.fixed[name]:g} for good: leave the option out, or "
                "give it to colorize-export"
            )
        raise ConfigError(f"{name}={value:g}: this checkpoint's objective has no {name}: leave the option out")
    setattr(model, name, value)


def seen_size(height: int, width: int, resolution: int) -> tuple[int, int]:
    """The shape of a picture with about `resolution * resolution` pixels: height and width."""
    scale = resolution / math.sqrt(height * width)
    longest = max(resolution**2 // _LEAST_SIDE, resolution)
    tall, wide = (min(max(round(side * scale), 1), longest) for side in (height, width))
    return tall, wide
