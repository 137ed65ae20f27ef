"""Backbone and decoder in one module: lightness in, the objective's map out, at any picture size. Plain PyTorch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorization.backbones import Backbone
from colorization.decoders.base import Decoder


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
