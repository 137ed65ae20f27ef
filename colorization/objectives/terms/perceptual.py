"""The distance between a classifier's features of the predicted and of the true picture."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
import torchvision
from torch import Tensor, nn

from colorization.backbones import IMAGENET_MEAN, IMAGENET_STD
from colorization.color import lab_to_rgb, merge_lab, saturated
from colorization.errors import ConfigError, did_you_mean
from colorization.objectives.terms.base import Term
from colorization.weights.pretrained import download_imagenet_weights, load_weights

# The mean RGB, in 0..255, that the original VGG networks of Oxford expect to be removed (Simonyan and Zisserman, 2014).
OXFORD_MEAN = (123.68, 116.779, 103.939)


class Perceptual(Term):
    """Distance between features of VGG for the predicted and the true picture, both as RGB (Johnson, Alahi and
    Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016).

    For each layer, the mean absolute difference is divided by the layer's mean magnitude for the true picture, so that
    layers of any depth and weights of any scale have the same weight. The loss is the mean over the layers. With
    `layer_weights`, it is the weighted sum of the mean absolute differences instead.

    Checkpoints do not hold the classifier's weights.

    Args:
        network: which VGG.
        layers: layers by their usual names, such as `relu3_4`, or `conv3_4` for what is before its activation (and, in
            a network with `bn`, before its BatchNorm).
        layer_weights: a weight for each layer; None: relative distances.
        weights: a file with the state dict of the classifier, or of its layers up to the deepest of `layers`; None:
            torchvision's ImageNet weights, downloaded once into torch's cache.
        scale: what the weights expect: `torchvision` RGB in 0..1, normalized by ImageNet's mean and deviation, or
            `oxford` RGB in 0..255 minus the mean, as the original VGG networks.
        enhance: factor on the saturation of the true picture, see `colorization.color.saturated`.
        summed: see `Term`.

    Raises:
        ConfigError: the weights are not available or do not fit, or a layer does not exist.
    """

    def __init__(
        self,
        network: Literal["vgg16", "vgg16_bn", "vgg19"] = "vgg19",
        layers: Sequence[str] = ("relu1_2", "relu2_2", "relu3_4"),
        layer_weights: Sequence[float] | None = None,
        weights: str | None = None,
        scale: Literal["torchvision", "oxford"] = "torchvision",
        enhance: float = 1.0,
        **summed: Any,
    ) -> None:
        super().__init__(**summed)
        option = "objective.terms.perceptual.weights"
        with torch.device("meta"):
            features = torchvision.models.get_model(network, weights=None, init_weights=False).features
        places = _places(features)
        for layer in layers:
            if layer not in places:
                raise ConfigError(f"objective.terms.perceptual.layers={layer}{did_you_mean(layer, places)}")
        if not layers:
            raise ConfigError(
                "objective.terms.perceptual.layers=[] leaves nothing to compare: give for example relu3_4"
            )
        self.enhance = enhance
        if layer_weights is not None and len(layer_weights) != len(layers):
            raise ConfigError(
                f"objective.terms.perceptual.layer_weights has {len(layer_weights)} weights for {len(layers)} layers: "
                "give one for each, or null"
            )
        self.is_relative = layer_weights is None
        weighted = zip(layers, layer_weights or [1.0] * len(layers), strict=True)
        self.taps = dict(sorted((places[layer], weight) for layer, weight in weighted))  # index and weight of a layer
        self.features = features[: max(self.taps) + 1].to_empty(device="cpu")
        if weights is None:
            weights = str(
                download_imagenet_weights(network, option, "leave this term out with objective.terms.perceptual=null")
            )
        load_weights(self.features, network, weights, option)
        mean, deviation = (IMAGENET_MEAN, IMAGENET_STD) if scale == "torchvision" else (OXFORD_MEAN, (1.0, 1.0, 1.0))
        self.factor = 1.0 if scale == "torchvision" else 255.0
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1), persistent=False)
        _make_constant(self.features)
        self.train()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.features.eval()  # BatchNorm has the statistics of ImageNet
        return self

    def forward(self, lightness: Tensor, predicted: Tensor, ab: Tensor) -> Tensor:
        with torch.no_grad():
            true = self._see(saturated(lab_to_rgb(merge_lab(lightness, ab)), factor=self.enhance))
        seen = self._see(lab_to_rgb(merge_lab(lightness, predicted)))
        distances = torch.stack(
            [(ours.float() - theirs.float()).abs().mean() for ours, theirs in zip(seen, true, strict=True)]
        )
        if self.is_relative:
            return (distances / torch.stack([theirs.float().abs().mean().clamp(min=1e-6) for theirs in true])).mean()
        return (distances * distances.new_tensor(list(self.taps.values()))).sum()

    def _see(self, rgb: Tensor) -> list[Tensor]:
        """The activations of the chosen layers, shallowest first."""
        x = (rgb * self.factor - self.mean) / self.deviation
        seen = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self.taps:
                seen.append(x)
        return seen


def _places(features: nn.Sequential) -> dict[str, int]:
    """The usual names of VGG's convolutions and ReLU layers (block, number within the block) and their indices."""
    places, block, number = {}, 1, 0
    for place, layer in enumerate(features):
        if isinstance(layer, nn.MaxPool2d):
            block, number = block + 1, 0
        elif isinstance(layer, nn.Conv2d):
            number += 1
            places[f"conv{block}_{number}"] = place
        elif isinstance(layer, nn.ReLU):
            layer.inplace = False  # the activation before it may be tapped as well
            places[f"relu{block}_{number}"] = place
    return places


def _make_constant(module: nn.Module) -> None:
    """Turns parameters into non-persistent buffers: not optimized, not saved, not counted."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach(), persistent=False)
