"""The Fréchet inception distance, with the networks and the resizing of four codes that publish it."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from colorization.color import to_float
from colorization.errors import ConfigError
from colorization.metrics.frechet import Moments, frechet_distance, moments_of
from colorization.metrics.pretrained import UnavailableError, find_weights, read_weights
from colorization.runtime.installation import install_hint
from colorization.weights.pretrained import IMAGENET_MEAN, IMAGENET_STD

FEATURES = 2048
_SIDE = 299

_TENSORFLOW = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)
_TORCHVISION = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.url


def resize_tensorflow(pictures: Tensor) -> Tensor:
    """Uint8 RGB `(B, 3, H, W)` to the network's input `(B, 3, 299, 299)` as in Heusel et al.'s code: the bilinear
    resizing of TensorFlow 1, which does not antialias, then -1..1.
    """
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    resized: Tensor = interpolate_bilinear_2d_like_tensorflow1x(pictures.float(), (_SIDE, _SIDE), align_corners=False)
    return (resized - 128) / 128


def resize_clean(pictures: Tensor) -> Tensor:
    """As `resize_tensorflow`, but as in clean-fid: Pillow's bicubic, which antialiases, on floats, channel by channel
    (Parmar, Zhang and Zhu, "On aliased resizing and surprising subtleties in GAN evaluation", 2022).
    """
    resized = [
        np.asarray(Image.fromarray(channel).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
        for channel in pictures.flatten(0, 1).cpu().numpy().astype(np.float32)
    ]
    values = torch.from_numpy(np.stack(resized)).view(-1, 3, _SIDE, _SIDE)
    return (values.to(pictures.device) - 128) / 128


def resize_ddcolor(pictures: Tensor) -> Tensor:
    """Uint8 RGB `(B, 3, H, W)` to `(B, 3, 299, 299)` as in DDColor's basicsr/metrics/custom_fid.py, given RGB in 0..1:
    bilinear without antialiasing, halved and shifted by a half, then from ImageNet's normalization to -1..1. That would
    be right for normalized pictures; it is done here as there, for the numbers to be comparable.
    """
    return _from_normalized(to_float(pictures))


def resize_ct2(pictures: Tensor) -> Tensor:
    """As `resize_ddcolor`, given RGB in -1..1, as in CT2's segm/metrics.py."""
    return _from_normalized(2 * to_float(pictures) - 1)


def _from_normalized(rgb: Tensor) -> Tensor:
    halved = F.interpolate(rgb, (_SIDE, _SIDE), mode="bilinear") * 0.5 + 0.5
    mean, std = (halved.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return halved * (std / 0.5) + (mean - 0.5) / 0.5


def _tensorflow_network(path: Path) -> nn.Module:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise UnavailableError(f"metrics: fid needs the package torch-fidelity: {install_hint('fid')}") from None
    with tempfile.TemporaryDirectory() as folder:
        # torch-fidelity reads a file by itself: this one is written here, so that it holds nothing but weights.
        checked = Path(folder) / path.name
        torch.save(read_weights("fid", path), checked)
        network = FeatureExtractorInceptionV3("inception-v3-compat", [str(FEATURES)], str(checked))
    layers = [layer for name, layer in network.named_children() if name != "fc"]
    return nn.Sequential(*layers, nn.Flatten())


def _torchvision_network(path: Path) -> nn.Module:
    network = torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=False)
    network.load_state_dict(read_weights("fid", path))
    network.fc = nn.Identity()
    features: nn.Module = network
    return features


class Backend(NamedTuple):
    """How pictures become features.

    Attributes:
        resize: uint8 RGB `(B, 3, H, W)` to the network's input.
        network: the network from its file.
        url: of the file.
        what: the file in words.
    """

    resize: Callable[[Tensor], Tensor]
    network: Callable[[Path], nn.Module]
    url: str
    what: str


_OF_TENSORFLOW = (_tensorflow_network, _TENSORFLOW, "the Inception network's weights of 2015 (91 MB)")
_OF_TORCHVISION = (_torchvision_network, _TORCHVISION, "torchvision's Inception weights (104 MB)")
# `tf`: Heusel et al.'s code and pytorch-fid. `torchvision`: DDColor's code.
BACKENDS = {
    "tf": Backend(resize_tensorflow, *_OF_TENSORFLOW),
    "torchvision": Backend(resize_ddcolor, *_OF_TORCHVISION),
    "ct2": Backend(resize_ct2, *_OF_TORCHVISION),
    "clean": Backend(resize_clean, *_OF_TENSORFLOW),
}


class Fid(nn.Module):
    """Fréchet inception distance of sets of pictures to the true ones: Heusel et al., "GANs trained by a two time-scale
    update rule converge to a local Nash equilibrium" (2017), on 2048 features. It falls with the number of pictures:
    compare only sets of the same size, and of the same backend.

    Args:
        sets: names of the sets.
        weights: the file of the backend's network; None: from torch's cache.
        may_download: download it if it is not in the cache.
        backend: a key of `BACKENDS`.

    Attributes:
        backend: its name.
        weights_path: the file.
        known_truth: moments of the true pictures from an earlier evaluation; if set, the network does not see them.

    Raises:
        UnavailableError: the weights are not available, or torch-fidelity is not installed.
        ConfigError: the given one can't be used.
    """

    def __init__(
        self, sets: Iterable[str], weights: str | None = None, may_download: bool = False, backend: str = "tf"
    ) -> None:
        super().__init__()
        self.backend = backend
        self.resize, build, url, what = BACKENDS[backend]
        self.weights_path = find_weights("fid", weights, url, what, may_download)
        try:
            self.inception = build(self.weights_path).eval().requires_grad_(False)
        except RuntimeError as error:
            raise ConfigError(f"fid_weights={self.weights_path} does not fit: give the file of {url}") from error
        self.known_truth: Moments | None = None
        self._truth = _Sums()
        self._sets = {name: _Sums() for name in sets}
        self.sums = nn.ModuleList([self._truth, *self._sets.values()])  # registered, so that they move with it

    def features(self, pictures: Tensor) -> Tensor:
        """The features of uint8 RGB pictures `(B, 3, H, W)`, `(B, 2048)`."""
        with torch.autocast(device_type=pictures.device.type, enabled=False):
            features: Tensor = self.inception(self.resize(pictures))
        return features

    def update(self, pictures: dict[str, Tensor], truth: Tensor) -> None:
        """Adds uint8 RGB pictures `(B, 3, H, W)` to each set, and to the true ones."""
        if self.known_truth is None:
            self._truth.update(self.features(truth))
        for name, sums in self._sets.items():
            sums.update(self.features(pictures[name]))

    def truth(self) -> Moments:
        """The moments of the true pictures. All ranks have to call it."""
        if self.known_truth is None:
            found: Moments = self._truth.compute()
            return found
        return Moments(*(values.to(self._truth.total.device) for values in self.known_truth))

    def compute(self) -> dict[str, float]:
        """The distance of each set, of two pictures or more. All ranks have to call it."""
        truth = self.truth()
        return {name: frechet_distance(truth, sums.compute()) for name, sums in self._sets.items()}


class _Sums(Metric):
    """Sums over features, whose mean and covariance are the same however pictures are sharded over ranks."""

    def __init__(self) -> None:
        super().__init__()
        double: dict[str, Any] = {"dtype": torch.float64}
        self.add_state("count", torch.zeros((), **double), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(FEATURES, **double), dist_reduce_fx="sum")
        self.add_state("products", torch.zeros(FEATURES, FEATURES, **double), dist_reduce_fx="sum")
        self.count: Tensor
        self.total: Tensor
        self.products: Tensor

    def update(self, features: Tensor) -> None:
        features = features.double()
        self.count += len(features)
        self.total += features.sum(dim=0)
        self.products += features.T @ features

    def compute(self) -> Moments:
        return moments_of(self.count, self.total, self.products)
