"""Backbones: lightness in, pyramid of features out.

The contract of every backbone: `forward` takes normalized lightness `(B, 1, H, W)` in -1..1, with H and W divisible
by `reductions[-1]`, and returns one map for each entry of `channels`, finest first:

    vgg16     channels (64, 128, 256, 512, 512, 512)    reductions (1, 2, 4, 8, 16, 32)
    resnet18  channels (64,  64, 128, 256, 512)         reductions (2, 4, 8, 16, 32)

    map i has the shape (B, channels[i], H / reductions[i], W / reductions[i])

A new backbone is a subclass of `Backbone` with a `_features` method and `channels` and `reductions` in a file of this
folder, and one file in `conf/backbone/`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from colorization.backbones.base import Backbone
from colorization.weights.pretrained import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    from colorization.backbones.efficientnet_lite import EfficientNetLite
    from colorization.backbones.timm import TimmBackbone
    from colorization.backbones.torchvision import TorchvisionBackbone

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Backbone", "EfficientNetLite", "TimmBackbone", "TorchvisionBackbone"]

_FILES = {"EfficientNetLite": "efficientnet_lite", "TimmBackbone": "timm", "TorchvisionBackbone": "torchvision"}


def __getattr__(name: str) -> Any:
    """Imports a backbone lazily: importing torchvision takes as long as importing PyTorch."""
    if name in _FILES:
        return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
