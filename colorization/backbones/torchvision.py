"""VGG and ResNet of torchvision."""

from typing import Literal

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from colorization.backbones.base import RANDOM_INSTEAD, Backbone
from colorization.weights.pretrained import download_imagenet_weights, load_weights


class TorchvisionBackbone(Backbone):
    """VGG16, VGG19 or a ResNet of torchvision, with the last map of each resolution.

    Args:
        name: which network.
        pretrained: start from torchvision's ImageNet weights, downloaded once into torch's cache.
        weights: start from this file instead: a state dict of the whole classifier, or of its features only.
        frozen: see `Backbone`.

    Raises:
        ConfigError: the weights are not available, or do not fit the network.
    """

    def __init__(
        self,
        name: Literal["vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101"],
        pretrained: bool = True,
        weights: str | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__(frozen=frozen)
        trunk, nodes = _vgg_trunk(name) if name.startswith("vgg") else _resnet_trunk(name)
        self.layers = create_feature_extractor(trunk, return_nodes=nodes)
        if weights is not None:
            load_weights(self.layers, name, weights, "backbone.weights")
        elif pretrained:
            load_weights(
                self.layers,
                name,
                download_imagenet_weights(name, "backbone.weights", RANDOM_INSTEAD),
                "backbone.weights",
            )
        self.channels, self.reductions = _measure(self.layers)
        self.freeze_if_asked()

    def _features(self, rgb: Tensor) -> list[Tensor]:
        return list(self.layers(rgb).values())


def _vgg_trunk(name: str) -> tuple[nn.Module, dict[str, str]]:
    """The convolutions of a VGG. A map is taken before each pooling, and after the last one."""
    # The classifier is nine tenths of a VGG: the meta device saves its time and memory.
    with torch.device("meta"):
        trunk = torchvision.models.get_model(name, weights=None, init_weights=False).features
    trunk.to_empty(device="cpu")
    for layer in trunk:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    ends = [index - 1 for index, layer in enumerate(trunk) if isinstance(layer, nn.MaxPool2d)]
    return trunk, {str(index): str(index) for index in (*ends, len(trunk) - 1)}


def _resnet_trunk(name: str) -> tuple[nn.Module, dict[str, str]]:
    """A ResNet without its head. A map is taken after the stem and after each stage."""
    nodes = ("relu", "layer1", "layer2", "layer3", "layer4")
    return torchvision.models.get_model(name, weights=None), {node: node for node in nodes}


def _measure(layers: nn.Module, side: int = 64) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels and reductions, measured by a forward pass."""
    was_training = layers.training
    layers.eval()
    with torch.no_grad():
        maps = list(layers(torch.zeros(1, 3, side, side)).values())
    layers.train(was_training)
    return tuple(m.shape[1] for m in maps), tuple(side // m.shape[2] for m in maps)
