"""Perceptual distances of picture pairs, by pretrained networks: LPIPS of torchmetrics, DISTS and MS-SWD of pyiqa."""

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import Any, Literal

import torch
import torchvision
from torch import Tensor, nn

from colorization.color import to_float
from colorization.compat.torchmetrics import lpips_network
from colorization.errors import ConfigError
from colorization.metrics.pretrained import UnavailableError, find_weights, read_weights
from colorization.runtime.installation import install_hint
from colorization.weights.downloads import cached
from colorization.weights.safe_load import UnreadableError, load

_ALEXNET = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.url
_VGG16 = torchvision.models.VGG16_Weights.IMAGENET1K_V1.url
_TRUNKS = {
    "alex": ("lpips", "alexnet", _ALEXNET, "AlexNet's ImageNet weights (233 MB)"),
    "vgg": ("lpips_vgg", "vgg16", _VGG16, "VGG16's ImageNet weights (528 MB)"),
}
# Where pyiqa's authors publish the weights, and where pyiqa looks for them.
_IQA_FILES = {"dists": "DISTS_weights-f5e65c96.pth", "msswd": "msswd_weights.pth"}
_IQA_HOME = "huggingface.co/chaofengc/IQA-PyTorch-Weights"


class Lpips(nn.Module):
    """Learned perceptual image patch similarity v0.1: Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable
    effectiveness of deep features as a perceptual metric" (2018). 0 means identical.

    Args:
        weights: a state dict of torchvision's AlexNet or VGG16, or of its `features` only; None: from torch's cache.
        may_download: download them if they are not in the cache.
        trunk: `alex` (the authors' choice for a metric) or `vgg` (as in CT2's code).

    Raises:
        UnavailableError: the weights are not available.
        ConfigError: the given weights can't be used.
    """

    def __init__(
        self, weights: str | None = None, may_download: bool = False, trunk: Literal["alex", "vgg"] = "alex"
    ) -> None:
        super().__init__()
        name, network, url, what = _TRUNKS[trunk]
        path = find_weights(name, weights, url, what, may_download)
        state = {key.removeprefix("features."): value for key, value in read_weights(name, path).items()}
        self.net = lpips_network(trunk)
        features: Any = self.net.net
        for block in features.children():
            for number, layer in block.named_children():
                if isinstance(layer, nn.Conv2d):
                    _fill(layer, state, f"{number}.", f"{name}_weights={path}", network)

    def forward(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """The distance of each pair of uint8 RGB pictures `(B, 3, H, W)` with sides of at least 32 px, `(B,)`."""
        with torch.autocast(device_type=truth.device.type, enabled=False):
            distance: Tensor = self.net(to_float(predicted), to_float(truth), normalize=True)
        return distance.flatten()


def _fill(layer: nn.Conv2d, state: dict[str, Tensor], prefix: str, option: str, network: str) -> None:
    for name, parameter in layer.named_parameters():
        found = state.get(prefix + name)
        if found is None or found.shape != parameter.shape:
            wrong = "lacks" if found is None else "has another shape of"
            raise ConfigError(
                f"{option} does not fit: it {wrong} features.{prefix}{name}; give weights of torchvision's {network}"
            )
        parameter.data.copy_(found)


class Iqa(nn.Module):
    """A distance of pyiqa (extra `iqa`): `dists` (Ding, Ma, Wang and Simoncelli, "Image quality assessment: unifying
    structure and texture similarity", 2020) or `msswd` (He, Wang, Ma et al., "Multiscale sliced Wasserstein distances
    as perceptual color difference measures", 2024; pyiqa's version has one scale, with learned filters). 0 means
    identical.

    Args:
        name: `dists` or `msswd`.
        weights: the published file of this name, DISTS_weights-f5e65c96.pth or msswd_weights.pth; None: pyiqa's cache
            or its download.
        may_download: let pyiqa download what is missing.

    Raises:
        UnavailableError: pyiqa or weights are not available.
        ConfigError: the given weights can't be used.
    """

    def __init__(self, name: Literal["dists", "msswd"], weights: str | None = None, may_download: bool = False) -> None:
        super().__init__()
        if importlib.util.find_spec("pyiqa") is None:
            raise UnavailableError(f"metrics: {name} needs the package pyiqa: {install_hint('iqa')}")
        if weights is not None and not Path(weights).expanduser().is_file():
            raise ConfigError(f"{name}_weights={weights} does not exist: give the path of {_IQA_FILES[name]}")
        trunk_is_missing = name == "dists" and not cached(_VGG16).is_file()
        if not may_download and (weights is None or trunk_is_missing):
            raise UnavailableError(
                f"{name} needs pyiqa's weights{' and VGG16' if name == 'dists' else ''}: name {name} in metrics=[...] "
                "to download them"
            )
        self.net = _build_iqa(name, pretrained=weights is None)
        if weights is not None:
            self._load(name, Path(weights).expanduser())

    def _load(self, name: str, path: Path) -> None:
        try:
            state = load(path)
        except UnreadableError as error:
            raise ConfigError(f"{name}_weights={path} {error}; give another file") from error
        state = state.get("net_dict", state) if isinstance(state, dict) else {}
        # The file of DISTS holds two parameters; VGG16 and the constants are there already.
        needed = {"alpha", "beta"} if name == "dists" else set(self.net.state_dict())
        try:
            missing, unknown = self.net.load_state_dict(state, strict=False)
            fits = not needed & set(missing) and not unknown
        except RuntimeError:  # other shapes
            fits = False
        if not fits:
            raise ConfigError(f"{name}_weights={path} does not fit: give {_IQA_FILES[name]} of {_IQA_HOME}")

    def forward(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """The distance of each pair of uint8 RGB pictures `(B, 3, H, W)`, `(B,)`."""
        with torch.autocast(device_type=truth.device.type, enabled=False):
            distance: Tensor = self.net(to_float(predicted), to_float(truth))
        return distance.flatten()


def _build_iqa(name: str, pretrained: bool) -> nn.Module:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
            import pyiqa

            network: nn.Module = pyiqa.create_metric(name, device="cpu", pretrained=pretrained).net
    except (OSError, RuntimeError) as error:
        trunk = f", and {_VGG16} at {cached(_VGG16)}" if name == "dists" else ""
        raise UnavailableError(
            f"metrics: {name}: pyiqa could not load its weights: fetch {_IQA_FILES[name]} from {_IQA_HOME} and give "
            f"{name}_weights=FILE{trunk}"
        ) from error
    return network.eval().requires_grad_(False)
