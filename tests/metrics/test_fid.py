"""FID: what each backend's network sees, and the distance of sets. The networks here have random weights."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from scipy import linalg
from torch import Tensor
from torch.nn import functional as F

from colorization.metrics import fid as fid_module
from colorization.metrics.fid import BACKENDS, Fid
from colorization.metrics.names import FID_BACKENDS
from colorization.metrics.pretrained import UnavailableError
from colorization.runtime.installation import install_hint


def pictures(seed: int = 0, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 40, 48), dtype=torch.uint8, generator=generator)


def _initialize(network: torch.nn.Module) -> None:
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)


@pytest.fixture(scope="module")
def tensorflow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the network of 2015, as torch-fidelity's file."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = module.FeatureExtractorInceptionV3("a", ["2048"], str(folder / "empty.pth"))
    _initialize(network)
    torch.save(network.state_dict(), folder / "inception.pth")
    return folder / "inception.pth"


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of torchvision's network, with its classifiers."""
    network = torchvision.models.inception_v3(weights=None, init_weights=False)
    _initialize(network)
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def make(tensorflow_file: Path, torchvision_file: Path) -> Callable[[str], Fid]:
    def build(backend: str) -> Fid:
        file = tensorflow_file if backend in ("tf", "clean") else torchvision_file
        return Fid(["one", "other"], str(file), backend=backend).eval()

    return build


def test_tf_is_torch_fidelity_s_extractor(make: Callable[[str], Fid], tensorflow_file: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3("a", ["2048"], str(tensorflow_file))
    with torch.no_grad():
        assert torch.equal(make("tf").features(pictures(count=1)), theirs(pictures(count=1))[0])


def test_clean_is_pillow_s_bicubic_of_floats(make: Callable[[str], Fid], tensorflow_file: Path) -> None:
    fid = make("clean")
    [picture] = pictures(count=1)
    channels = [
        np.asarray(Image.fromarray(channel.astype(np.float32), mode="F").resize((299, 299), Image.Resampling.BICUBIC))
        for channel in picture.numpy()
    ]
    resized = np.stack(channels)
    assert resized.min() < 0  # it overshoots, and is not clipped
    seen = torch.from_numpy((resized - 128) / 128).unsqueeze(0)
    assert torch.equal(BACKENDS["clean"].resize(picture.unsqueeze(0)), seen)
    with torch.no_grad():
        assert torch.equal(fid.features(picture.unsqueeze(0)), fid.inception(seen))


@pytest.mark.parametrize(("backend", "scale", "shift"), [("torchvision", 1.0, 0.0), ("ct2", 2.0, -1.0)])
def test_torchvision_s_network_as_ddcolor_and_ct2_use_it(
    make: Callable[[str], Fid], torchvision_file: Path, backend: str, scale: float, shift: float
) -> None:
    network = torchvision.models.inception_v3(weights=None, init_weights=False)
    network.load_state_dict(torch.load(torchvision_file, weights_only=True))
    network.eval()
    kept = []
    network.avgpool.register_forward_hook(lambda _, inputs, output: kept.append(output.flatten(1)))
    x = F.interpolate(pictures(count=1) / 255 * scale + shift, size=(299, 299), mode="bilinear", align_corners=False)
    x = x * 0.5 + 0.5
    for channel, (mean, std) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        x[:, channel] = x[:, channel] * (std / 0.5) + (mean - 0.5) / 0.5
    with torch.no_grad():
        network(x)
        assert torch.allclose(make(backend).features(pictures(count=1)), kept[0], rtol=1e-4, atol=1e-5)


class Few(torch.nn.Module):
    """Features of an input that a test can follow: the colours of its four quarters, 12 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, rgb: Tensor) -> Tensor:
        assert rgb.shape[1:] == (3, 299, 299)
        self.seen.append(len(rgb))
        return F.adaptive_avg_pool2d(rgb, 2).flatten(1)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Fid]:
    """FID with 12 features."""
    monkeypatch.setattr(fid_module, "FEATURES", 12)
    (tmp_path / "weights.pth").touch()

    def build(backend: str) -> Fid:
        monkeypatch.setitem(BACKENDS, backend, BACKENDS[backend]._replace(network=lambda _: Few()))
        return Fid(["one", "other"], str(tmp_path / "weights.pth"), backend=backend)

    return build


def test_all_backends_may_be_chosen() -> None:
    assert tuple(BACKENDS) == FID_BACKENDS


@pytest.mark.parametrize("backend", BACKENDS)
def test_distance_on_features_by_scipy(few: Callable[[str], Fid], backend: str) -> None:
    """Of two sets in batches. The root of the product of the covariances is scipy's."""
    fid = few(backend)
    truth, one, other = pictures(0, 40), pictures(1, 40), pictures(2, 40) // 2
    for batch in (slice(0, 1), slice(1, 40)):
        fid.update({"one": one[batch], "other": other[batch]}, truth[batch])
    found = fid.compute()
    real = F.adaptive_avg_pool2d(BACKENDS[backend].resize(truth), 2).flatten(1).double().numpy()
    for name, made in (("one", one), ("other", other)):
        fake = F.adaptive_avg_pool2d(BACKENDS[backend].resize(made), 2).flatten(1).double().numpy()
        covariances = [np.cov(features, rowvar=False) for features in (real, fake)]
        root = linalg.sqrtm(covariances[0] @ covariances[1]).real
        expected = ((real.mean(axis=0) - fake.mean(axis=0)) ** 2).sum()
        expected += sum(map(np.trace, covariances)) - 2 * np.trace(root)
        assert found[name] == pytest.approx(expected, rel=1e-4)
    assert found["other"] > 10 * found["one"] > 0


def test_backends_differ(few: Callable[[str], Fid]) -> None:
    sets = {"one": pictures(1, 20), "other": pictures(2, 20)}
    found = set()
    for backend in BACKENDS:
        fid = few(backend)
        fid.update(sets, pictures(0, 20))
        found.add(round(fid.compute()["one"], 6))
    assert len(found) == len(BACKENDS) == 4


def test_known_truth_is_not_looked_at_again(few: Callable[[str], Fid]) -> None:
    first, second = few("torchvision"), few("torchvision")
    sets = {"one": pictures(1), "other": pictures(2)}
    first.update(sets, pictures(0))
    expected = first.compute()
    second.known_truth = first.truth()
    second.update(sets, pictures(5))
    assert second.compute() == expected
    assert isinstance(second.inception, Few)
    assert second.inception.seen == [3, 3]


def test_without_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    (tmp_path / "weights.pth").touch()
    with pytest.raises(UnavailableError, match=re.escape(install_hint("fid"))):
        Fid(["a"], str(tmp_path / "weights.pth"))
