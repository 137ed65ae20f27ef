"""Any network of timm."""

from typing import Any

import torch
from torch import Tensor

from colorization.backbones.base import RANDOM_INSTEAD, Backbone
from colorization.errors import ColorizationError, ConfigError, first_line
from colorization.runtime.installation import install_hint
from colorization.weights.pretrained import IMAGENET_MEAN, IMAGENET_STD, load_weights


class TimmBackbone(Backbone):
    """Any network of timm that returns features, e.g. `convnext_tiny`. Needs the extra `timm`.

    Args:
        name: timm's name of the network; `timm.list_models()` lists them.
        pretrained: start from timm's weights, downloaded once from the Hugging Face hub.
        weights: start from this file instead: a state dict of the classifier, or of its features only.
        frozen: see `Backbone`.

    Raises:
        ConfigError: timm is not installed, does not know the name or the network has no feature maps, or the weights
            are not available.
    """

    def __init__(self, name: str, pretrained: bool = True, weights: str | None = None, frozen: bool = False) -> None:
        try:
            import timm
        except ImportError:
            raise ConfigError(f"backbone=timm needs the package timm: {install_hint('timm')}") from None
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

        # Transformers need this option for pictures of any size; other networks do not have it.
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
                    config = timm.get_pretrained_cfg(name)
                    place = f"https://huggingface.co/{config.hf_hub_id}" if config else "its authors"
                    raise ConfigError(
                        f"the pretrained weights of {name} can't be downloaded: fetch model.safetensors from {place} "
                        f"and name the file with backbone.weights=FILE, or {RANDOM_INSTEAD}"
                    ) from error
                raise ConfigError(f"backbone.name={name}: timm has no feature maps of this network") from error
        raise ConfigError(f"backbone.name={name}: timm has no feature maps of this network")

    def _try_sizes(self, name: str) -> None:
        """Checks that the network takes pictures of any size.

        Raises:
            ConfigError: it does not.
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
        # Some transformers return channels last.
        return [
            feature if feature.shape[1] == count else feature.permute(0, 3, 1, 2)
            for feature, count in zip(maps, self.channels, strict=True)
        ]


def _did_you_mean(names: list[str]) -> str:
    return f" (did you mean {', '.join(names)}?)" if names else ""
