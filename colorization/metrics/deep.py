"""Metrics that need a pretrained network: LPIPS and FID, with the networks of torchmetrics.

The weights come from a local file, from torch's cache, or from a download.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3

from colorization.color import to_float
from colorization.compat.torchmetrics import lpips_network
from colorization.errors import ConfigError
from colorization.runtime.installation import install_hint
from colorization.weights.downloads import cached, download
from colorization.weights.safe_load import UnreadableError, load_state_dict

_ALEXNET = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.url
_INCEPTION = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)


class UnavailableError(ConfigError):
    """The network of a metric is not available on this machine."""


class Lpips(nn.Module):
    """Learned perceptual image patch similarity v0.1 with AlexNet: Zhang, Isola, Efros, Shechtman and Wang, "The
    unreasonable effectiveness of deep features as a perceptual metric" (2018). 0 means identical.

    Args:
        weights: a state dict of torchvision's AlexNet, or of its `features` only; None: from torch's cache.
        may_download: download them if they are not in the cache.

    Raises:
        UnavailableError: the weights are not available.
        ConfigError: the given weights can't be used.
    """

    def __init__(self, weights: str | None = None, may_download: bool = False) -> None:
        super().__init__()
        path = _find("lpips", weights, _ALEXNET, "AlexNet's ImageNet weights (233 MB)", may_download)
        state = {key.removeprefix("features."): value for key, value in _read("lpips", path).items()}
        self.net = lpips_network()
        network: Any = self.net.net
        for block in network.children():
            for number, layer in block.named_children():
                if isinstance(layer, nn.Conv2d):
                    _fill(layer, state, f"{number}.", path)

    def forward(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """The distance of each pair of uint8 RGB pictures `(B, 3, H, W)` with sides of at least 32 px, `(B,)`."""
        with torch.autocast(device_type=truth.device.type, enabled=False):
            distance: Tensor = self.net(to_float(predicted), to_float(truth), normalize=True)
        return distance.flatten()


class Fid(nn.Module):
    """Fréchet inception distance of sets of pictures to the true ones: Heusel et al., "GANs trained by a two time-scale
    update rule converge to a local Nash equilibrium" (2017), on the 2048 features of the Inception network of 2015,
    resized with antialiasing. It falls with the number of pictures: compare only sets of the same size.

    Args:
        sets: names of the sets.
        weights: the file that torch-fidelity publishes; None: from torch's cache.
        may_download: download it if it is not in the cache.

    Raises:
        UnavailableError: the weights are not available, or torch-fidelity is not installed.
        ConfigError: the given one can't be used.
    """

    def __init__(self, sets: Iterable[str], weights: str | None = None, may_download: bool = False) -> None:
        super().__init__()
        try:
            import torch_fidelity  # noqa: F401
        except ImportError:
            raise UnavailableError(f"metrics: fid needs the package torch-fidelity: {install_hint('fid')}") from None
        path = _find("fid", weights, _INCEPTION, "the Inception network's weights (91 MB)", may_download)
        state = _read("fid", path)
        try:
            with tempfile.TemporaryDirectory() as folder:
                # torch-fidelity reads a file by itself: this one is written here, so that it holds nothing but weights.
                checked = Path(folder) / path.name
                torch.save(state, checked)
                self.inception = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(checked))
        except RuntimeError as error:
            raise ConfigError(f"fid_weights={path} does not fit: give the file of {_INCEPTION}") from error
        self.distances = nn.ModuleList()
        self._distances: dict[str, FrechetInceptionDistance] = {}
        for name in sets:
            self._distances[name] = FrechetInceptionDistance(feature=_Features())
            self._distances[name].orig_dtype = torch.float32  # otherwise unset in a process without pictures
            self.distances.append(self._distances[name])

    def update(self, pictures: dict[str, Tensor], truth: Tensor) -> None:
        """Adds uint8 RGB pictures `(B, 3, H, W)` to each set, and to the true ones."""
        with torch.autocast(device_type=truth.device.type, enabled=False):
            real = self.inception(truth)
            for name, distance in self._distances.items():
                distance.update(real, real=True)
                distance.update(self.inception(pictures[name]), real=False)

    def compute(self) -> dict[str, float]:
        """The distance of each set, of two pictures or more. All ranks have to call it."""
        return {name: float(distance.compute()) for name, distance in self._distances.items()}


class _Features(nn.Module):
    """Passes on features that are computed already, so that the network runs once on the truth, not once per set."""

    num_features = 2048

    def forward(self, features: Tensor) -> Tensor:
        return features


def _find(metric: str, weights: str | None, url: str, what: str, may_download: bool) -> Path:
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise ConfigError(f"{metric}_weights={path} does not exist: give the path of {what}")
        return path
    if cached(url).is_file():
        return cached(url)
    if not may_download:
        raise UnavailableError(
            f"{metric} needs {what}: name the file with {metric}_weights=FILE, or name {metric} in metrics=[...] to "
            "download it"
        )
    try:
        return download(url)
    except (OSError, RuntimeError) as error:
        raise UnavailableError(
            f"metrics: {metric} needs {what}, and the download failed: fetch {url} and put it at {cached(url)}, "
            f"or name a local file with {metric}_weights=FILE"
        ) from error


def _read(metric: str, path: Path) -> dict[str, Any]:
    try:
        return load_state_dict(path)
    except UnreadableError as error:
        raise ConfigError(f"{metric}_weights={path} {error}; give another file") from error


def _fill(layer: nn.Conv2d, state: dict[str, Tensor], prefix: str, path: Path) -> None:
    for name, parameter in layer.named_parameters():
        found = state.get(prefix + name)
        if found is None or found.shape != parameter.shape:
            wrong = "lacks" if found is None else "has another shape of"
            raise ConfigError(
                f"lpips_weights={path} does not fit: it {wrong} features.{prefix}{name}; give weights of torchvision's "
                "alexnet"
            )
        parameter.data.copy_(found)
