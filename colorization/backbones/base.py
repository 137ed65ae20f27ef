"""Base class of backbones."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from colorization.weights.pretrained import IMAGENET_MEAN, IMAGENET_STD

# The end of a message about weights that are not available.
RANDOM_INSTEAD = "start from random weights with backbone.pretrained=false"


class Backbone(nn.Module, ABC):
    """Base class of backbones: turns lightness into a classifier's normalized RGB, and freezes weights.

    Args:
        mean: mean of RGB in 0..1, subtracted first.
        std: standard deviation, divided by afterwards.
        frozen: no gradients, and BatchNorm stays in eval mode.

    Attributes:
        channels: number of channels of each map, finest first.
        reductions: how many times smaller than the input each map is, finest first.
        rate: factor on the learning rate of its weights.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]
    rate: float = 1.0

    def __init__(
        self,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.frozen = frozen
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def freeze_if_asked(self) -> None:
        """Subclasses call it once their layers exist."""
        if self.frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> "Backbone":
        return super().train(mode and not self.frozen)

    def forward(self, lightness: Tensor) -> list[Tensor]:
        """Normalized lightness `(B, 1, H, W)` to the pyramid, finest map first."""
        gray = (lightness + 1) / 2
        return self._features((gray - self.mean) / self.std)

    @abstractmethod
    def _features(self, rgb: Tensor) -> list[Tensor]:
        """RGB `(B, 3, H, W)`, normalized as the classifier expects it, to the pyramid."""
