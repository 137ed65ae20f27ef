"""Backbones: lightness in, pyramid of features out.

Every backbone keeps one contract. `forward` takes normalized lightness `(B, 1, H, W)` in -1..1, with H and W divisible
by `reductions[-1]`, and returns one map for each entry of `channels`, finest first:

    vgg16     channels (64, 128, 256, 512, 512, 512)    reductions (1, 2, 4, 8, 16, 32)
    resnet18  channels (64,  64, 128, 256, 512)         reductions (2, 4, 8, 16, 32)

    map i has the shape (B, channels[i], H / reductions[i], W / reductions[i])

A new backbone is a subclass with a `_features` method and `channels` and `reductions`, and one file in
`conf/backbone/`.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from colorization.errors import ColorizationError, ConfigError, first_line
from colorization.weights.pretrained import download_imagenet_weights, load_weights, no_pretrained_weights

# Mean and standard deviation of ImageNet's RGB in 0..1, which torchvision's pretrained weights expect to be removed.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_RANDOM_INSTEAD = "start from random weights with backbone.pretrained=false"


class Backbone(nn.Module, ABC):
    """Base class: turns lightness into the RGB that a classifier expects, and freezes.

    Args:
        mean: what the classifier expects to be subtracted from RGB in 0..1.
        std: what it expects RGB to be divided by afterwards.
        frozen: no gradients, and BatchNorm keeps the statistics it came with.

    Attributes:
        channels: number of channels of each map, finest first.
        reductions: how many times smaller than the input each map is, finest first.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]

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
        """To be called by subclasses once their layers exist."""
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


class TorchvisionBackbone(Backbone):
    """VGG16, VGG19 or a ResNet of torchvision, cut where each resolution ends.

    Args:
        name: which network.
        pretrained: start from torchvision's ImageNet weights, downloaded once into torch's cache.
        weights: start from this file instead: a state dict of the whole classifier, or of its features only.
        frozen: see `Backbone`.

    Raises:
        ConfigError: the weights can't be had, or do not fit the network.
    """

    def __init__(
        self,
        name: Literal["vgg16", "vgg19", "resnet18", "resnet34", "resnet50"],
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
                download_imagenet_weights(name, "backbone.weights", _RANDOM_INSTEAD),
                "backbone.weights",
            )
        self.channels, self.reductions = _measure(self.layers)
        self.freeze_if_asked()

    def _features(self, rgb: Tensor) -> list[Tensor]:
        return list(self.layers(rgb).values())


class TimmBackbone(Backbone):
    """Any network of timm that offers features, e.g. `convnext_tiny`. Needs the extra `timm`.

    Args:
        name: timm's name of the network; `timm.list_models()` lists them.
        pretrained: start from timm's weights, downloaded once from the Hugging Face hub.
        weights: start from this file instead: a state dict of the classifier, or of its features only.
        frozen: see `Backbone`.

    Raises:
        ConfigError: timm is not installed, does not know the name or the network has no feature maps, or the weights
            can't be had.
    """

    def __init__(self, name: str, pretrained: bool = True, weights: str | None = None, frozen: bool = False) -> None:
        try:
            import timm
        except ImportError:
            raise ConfigError("backbone=timm needs the package timm: pip install 'colorization[timm]'") from None
        if not timm.is_model(name):
            close = timm.list_models(f"*{name.split('_')[0]}*")[:5]
            raise ConfigError(
                f"backbone.name={name} is not a network of timm{_did_you_mean(close)}; timm.list_models() lists all"
            )
        config = timm.get_pretrained_cfg(name)
        super().__init__(
            mean=config.mean if config else IMAGENET_MEAN, std=config.std if config else IMAGENET_STD, frozen=frozen
        )
        layers = self._create(name, pretrained=pretrained and weights is None)
        if weights is not None:
            load_weights(layers, name, weights, "backbone.weights")
        self.layers = layers
        self.channels = tuple(layers.feature_info.channels())
        self.reductions = tuple(layers.feature_info.reduction())
        self._try_sizes(name)
        self.freeze_if_asked()

    @staticmethod
    def _create(name: str, pretrained: bool) -> Any:
        import timm

        # Transformers take this option, and without it pictures of one size only; the others do not know it.
        attempts: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {})
        for options in attempts:
            try:
                return timm.create_model(name, features_only=True, pretrained=pretrained, **options)
            except TypeError:
                continue
            except ColorizationError:
                raise
            except Exception as error:
                if pretrained:
                    raise no_pretrained_weights(
                        name, f"the weights of timm's {name}", "any folder", "backbone.weights", _RANDOM_INSTEAD
                    ) from error
                raise ConfigError(f"backbone.name={name}: timm offers no feature maps for this network") from error
        raise ConfigError(f"backbone.name={name}: timm offers no feature maps for this network")

    def _try_sizes(self, name: str) -> None:
        """Some networks take pictures of one size only.

        Raises:
            ConfigError: this is one of them.
        """
        was_training = self.training
        self.eval()
        for tiles in ((6, 9), (7, 7)):
            try:
                with torch.no_grad():
                    self(torch.zeros(1, 1, *(count * self.reductions[-1] for count in tiles)))
            except (AssertionError, RuntimeError) as error:
                raise ConfigError(
                    f"backbone.name={name} does not take pictures of any size ({first_line(error)}); choose another"
                ) from error
        self.train(was_training)

    def _features(self, rgb: Tensor) -> list[Tensor]:
        maps = self.layers(rgb)
        # Some transformers hand out channels last.
        return [
            feature if feature.shape[1] == count else feature.permute(0, 3, 1, 2)
            for feature, count in zip(maps, self.channels, strict=True)
        ]


def _did_you_mean(names: list[str]) -> str:
    return f" (did you mean {', '.join(names)}?)" if names else ""


def _vgg_trunk(name: str) -> tuple[nn.Module, dict[str, str]]:
    """The convolutions of a VGG. A map is taken before each pooling, and after the last one."""
    # The classifier is nine tenths of a VGG: on the meta device it costs neither time nor memory.
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
    """Channels and reductions, read off a forward pass."""
    was_training = layers.training
    layers.eval()
    with torch.no_grad():
        maps = list(layers(torch.zeros(1, 3, side, side)).values())
    layers.train(was_training)
    return tuple(m.shape[1] for m in maps), tuple(side // m.shape[2] for m in maps)
