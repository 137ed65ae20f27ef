"""LPIPS and FID: they take local files, and without one say what is missing. The weights here are random."""

import re
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor

from colorization.errors import ConfigError
from colorization.metrics import deep
from colorization.metrics.deep import Fid, Lpips, UnavailableError
from colorization.runtime.installation import install_hint


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of torchvision's AlexNet, its features only."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save(torchvision.models.alexnet(weights=None).features.state_dict(prefix="features."), path)
    return path


@pytest.fixture
def without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No way out, and an empty cache."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hub" / "checkpoints"


def pictures(seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (3, 3, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_lpips_is_the_recipe_of_its_paper(alexnet: Path) -> None:
    """Differences of normalized features, squared, weighted by torchmetrics' linear heads, and averaged."""
    lpips = Lpips(str(alexnet))
    features = torchvision.models.alexnet(weights=None).features
    state = torch.load(alexnet, weights_only=True)
    features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    layers = list(features.children())[:12]
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))

    def taps(picture: Tensor) -> list[Tensor]:
        found, x = [], (picture / 127.5 - 1 - shift) / scale
        for index, layer in enumerate(layers):
            x = layer(x)
            if index in (1, 4, 7, 9, 11):  # after each ReLU
                found.append(x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt())
        return found

    first, second = pictures(0), pictures(1)
    with torch.no_grad():
        heads = [value for key, value in lpips.net.state_dict().items() if key.startswith("lins.")]
        expected = sum(
            ((one - other).square() * head.view(1, -1, 1, 1)).sum(dim=1).mean(dim=(1, 2))
            for one, other, head in zip(taps(first), taps(second), heads, strict=True)
        )
        assert torch.allclose(lpips(first, second), torch.as_tensor(expected), rtol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(lpips(first, second), lpips(first, second))
            assert torch.allclose(lpips(first, second), torch.as_tensor(expected), rtol=1e-4)
        assert lpips(first, first).tolist() == [0, 0, 0]
        assert lpips(first[:1], second[:1]).shape == (1,)


def test_lpips_takes_a_whole_alexnet_from_torch_s_cache(alexnet: Path, without_network: Path) -> None:
    without_network.mkdir(parents=True)
    state = torch.load(alexnet, weights_only=True)
    torch.save({**state, "classifier.1.weight": torch.zeros(1)}, without_network / Path(deep._ALEXNET).name)
    with torch.no_grad():
        assert torch.equal(Lpips()(pictures(0), pictures(1)), Lpips(str(alexnet))(pictures(0), pictures(1)))


def test_nothing_is_downloaded_unless_it_is_asked_for(without_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "download", lambda url: pytest.fail("asked the network"))
    for make, name in ((lambda: Lpips(), "lpips"), (lambda: Fid(["a"]), "fid")):
        with pytest.raises(UnavailableError, match=f"{name} needs .* {name}_weights=FILE"):
            make()


def test_without_network_the_message_names_file_and_place(without_network: Path) -> None:
    for make, url in (
        (lambda: Lpips(may_download=True), deep._ALEXNET),
        (lambda: Fid(["a"], may_download=True), deep._INCEPTION),
    ):
        with pytest.raises(UnavailableError) as error:
            make()
        for part in (url, str(without_network / Path(url).name), "_weights=FILE"):
            assert part in str(error.value)


def test_files_that_can_t_be_used(tmp_path: Path, alexnet: Path) -> None:
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    state = torch.load(alexnet, weights_only=True)
    torch.save({key: value for key, value in state.items() if "6.weight" not in key}, tmp_path / "part.pth")
    torch.save({**state, "features.0.bias": torch.zeros(3)}, tmp_path / "shape.pth")
    for name, message in (
        ("nowhere.pth", "does not exist"),
        ("text.pth", "is corrupt, or "),
        ("list.pth", "is not a state dict"),
        ("part.pth", "lacks features.6.weight"),
        ("shape.pth", "another shape of features.0.bias"),
    ):
        with pytest.raises(ConfigError, match=f"lpips_weights={tmp_path / name}.*{message}") as error:
            Lpips(str(tmp_path / name))
        assert not isinstance(error.value, UnavailableError)
    for name, message in (
        ("nowhere.pth", "does not exist"),
        ("text.pth", "is corrupt"),
        ("part.pth", "does not fit"),
    ):
        with pytest.raises(ConfigError, match=f"fid_weights={tmp_path / name}.*{message}") as error:
            Fid(["a"], str(tmp_path / name))
        assert "\n" not in str(error.value)


def test_fid_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UnavailableError, match=re.escape(install_hint("fid"))):
        Fid(["a"])


def test_fid_of_two_pictures_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch_fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    network = torch_fidelity.FeatureExtractorInceptionV3
    torch.manual_seed(0)
    torch.save({}, tmp_path / "empty.pth")
    with monkeypatch.context() as patch:
        patch.setattr(network, "load_state_dict", lambda self, state: None)
        inception = network("a", ["2048"], str(tmp_path / "empty.pth"))
    for layer in inception.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    torch.save(inception.state_dict(), tmp_path / "inception.pth")
    fid = Fid(["other"], str(tmp_path / "inception.pth"))
    truth = pictures(0)[:2]
    other = truth // 2
    with torch.no_grad():
        for one in (0, 1):  # batches of one
            fid.update({"other": other[one : one + 1]}, truth[one : one + 1])
        first, second = (fid.inception(batch).double() for batch in (truth, other))
    # The covariance of two pictures is v v^T with v the half of their difference times the root of two.
    one, two = ((features[0] - features[1]) / 2**0.5 for features in (first, second))
    between = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    expected = float(between + one.square().sum() + two.square().sum() - 2 * (one @ two).abs())
    assert expected > 1e-3
    assert fid.compute()["other"] == pytest.approx(expected, rel=1e-2)
