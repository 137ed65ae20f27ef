"""LPIPS, DISTS and MS-SWD: they take local files, and without one say what is missing. The weights here are random."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from colorization.errors import ConfigError
from colorization.metrics import fid, perceptual, pretrained
from colorization.metrics.fid import Fid
from colorization.metrics.perceptual import Iqa, Lpips
from colorization.metrics.pretrained import UnavailableError
from colorization.runtime.installation import install_hint


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of torchvision's AlexNet, its features only."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save(torchvision.models.alexnet(weights=None).features.state_dict(prefix="features."), path)
    return path


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of torchvision's VGG16, its features only."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    torch.save(torchvision.models.vgg16(weights=None).features.state_dict(prefix="features."), path)
    return path


@pytest.fixture
def without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No way out, and an empty cache."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hub" / "checkpoints"


def pictures(seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (3, 3, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


# For each trunk, the layers after which LPIPS compares features: its ReLUs before a pooling, and the last one.
TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}


@pytest.mark.parametrize("trunk", ["alex", "vgg"])
def test_lpips_is_the_recipe_of_its_paper(alexnet: Path, vgg16: Path, trunk: Any) -> None:
    """Differences of normalized features, squared, weighted by torchmetrics' linear heads, and averaged."""
    path = alexnet if trunk == "alex" else vgg16
    lpips = Lpips(str(path), trunk=trunk)
    model = torchvision.models.alexnet if trunk == "alex" else torchvision.models.vgg16
    features = model(weights=None).features
    state = torch.load(path, weights_only=True)
    features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    layers = list(features.children())[: TAPS[trunk][-1] + 1]
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))

    def taps(picture: Tensor) -> list[Tensor]:
        found, x = [], (picture / 127.5 - 1 - shift) / scale
        for index, layer in enumerate(layers):
            x = layer(x)
            if index in TAPS[trunk]:
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
    torch.save({**state, "classifier.1.weight": torch.zeros(1)}, without_network / Path(perceptual._ALEXNET).name)
    with torch.no_grad():
        assert torch.equal(Lpips()(pictures(0), pictures(1)), Lpips(str(alexnet))(pictures(0), pictures(1)))


def test_nothing_is_downloaded_unless_it_is_asked_for(without_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "download", lambda url: pytest.fail("asked the network"))
    for make, name in (
        (lambda: Lpips(), "lpips"),
        (lambda: Lpips(trunk="vgg"), "lpips_vgg"),
        (lambda: Fid(["a"]), "fid"),
        (lambda: Fid(["a"], backend="ct2"), "fid"),
    ):
        with pytest.raises(UnavailableError, match=f"{name} needs .* {name}_weights=FILE"):
            make()


def test_without_network_the_message_names_file_and_place(without_network: Path) -> None:
    for make, url in (
        (lambda: Lpips(may_download=True), perceptual._ALEXNET),
        (lambda: Lpips(may_download=True, trunk="vgg"), perceptual._VGG16),
        (lambda: Fid(["a"], may_download=True, backend="clean"), fid._TENSORFLOW),
        (lambda: Fid(["a"], may_download=True, backend="torchvision"), fid._TORCHVISION),
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


def test_iqa_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=re.escape(install_hint("iqa"))):
        Iqa("dists", may_download=True)


def test_msswd_with_a_file_of_weights(tmp_path: Path, without_network: Path) -> None:
    """The recipe: learned filters of Lab, sorted responses, mean absolute difference."""
    arch = pytest.importorskip("pyiqa.archs.msswd_arch")
    torch.manual_seed(0)
    network = arch.MS_SWD_learned(pretrained=False)
    torch.save({"net_dict": network.state_dict()}, tmp_path / "msswd.pth")
    msswd = Iqa("msswd", str(tmp_path / "msswd.pth"))
    first, second = pictures(0), pictures(1)
    with torch.no_grad():
        responses = []
        for picture in (first, second):
            lab = arch.color_space_transform(picture / 255, "srgb2lab")
            responses.append(network.conv_m1(network.relu(network.conv11x11(lab))).flatten(2).sort(dim=2).values)
        expected = (responses[0] - responses[1]).abs().mean(dim=(1, 2))
        assert float(expected.min()) > 0
        assert torch.allclose(msswd(first, second), expected, rtol=1e-4)
        assert msswd(first, first).tolist() == [0, 0, 0]
    with pytest.raises(UnavailableError, match="name msswd in metrics"):
        Iqa("msswd")
    torch.save({"net_dict": {"other": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"msswd_weights=.*other.pth does not fit"):
        Iqa("msswd", str(tmp_path / "other.pth"))


def test_dists_with_a_file_of_weights(tmp_path: Path, without_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arch = pytest.importorskip("pyiqa.archs.dists_arch")
    torch.manual_seed(0)
    network = torchvision.models.vgg16(weights=None)
    monkeypatch.setattr(torchvision.models, "vgg16", lambda weights: network)
    with pytest.raises(UnavailableError, match="pyiqa's weights and VGG16"):
        Iqa("dists")
    without_network.mkdir(parents=True)
    (without_network / Path(perceptual._VGG16).name).touch()
    made = arch.DISTS(pretrained=False)
    torch.save({"alpha": made.alpha.data, "beta": made.beta.data}, tmp_path / "dists.pth")
    dists = Iqa("dists", str(tmp_path / "dists.pth"))
    first, second = pictures(0), pictures(1)
    with torch.no_grad():
        assert torch.allclose(dists(first, second), made(first / 255, second / 255).flatten(), rtol=1e-4)
        assert float(dists(first, second).min()) > 1e-3
        assert float(dists(first, first).abs().max()) < 1e-5
    torch.save({"alpha": made.alpha.data}, tmp_path / "half.pth")
    with pytest.raises(ConfigError, match=r"dists_weights=.*half.pth does not fit"):
        Iqa("dists", str(tmp_path / "half.pth"))
