"""Backbones: lightness in, pyramid of features out.

The contract of every backbone: `forward` takes normalized lightness `(B, 1, H, W)` in -1..1, with H and W divisible
by `reductions[-1]`, and returns one map for each entry of `channels`, finest first:

    vgg16     channels (64, 128, 256, 512, 512, 512)    reductions (1, 2, 4, 8, 16, 32)
    resnet18  channels (64,  64, 128, 256, 512)         reductions (2, 4, 8, 16, 32)

    map i has the shape (B, channels[i], H / reductions[i], W / reductions[i])

A new backbone is a subclass of `Backbone` with a `_features` method and `channels` and `reductions` in a file of this
folder, and one file in `conf/backbone/`.
"""

from colorization.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from colorization.backbones.efficientnet_lite import EfficientNetLite
from colorization.backbones.timm import TimmBackbone
from colorization.backbones.torchvision import TorchvisionBackbone

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Backbone", "EfficientNetLite", "TimmBackbone", "TorchvisionBackbone"]
