"""EfficientNet-Lite: the weights of the packages do what they did, and parts of the network stand still."""

import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from skimage import data
from torch.nn import functional as F
from torch.testing import assert_close

from colorization.backbones import EfficientNetLite
from colorization.backbones import efficientnet_lite as module
from colorization.config.instantiate import instantiate
from colorization.errors import ConfigError
from colorization.runtime.installation import install_hint
from tests.helpers.runs import Compose

NAMES = ("lite0", "lite1", "lite2")
# Of the 1000 classes of ImageNet: the cats.
CATS = {281, 282, 283, 284, 285}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> Any:
    return request.param


def classifier(name: str) -> Any:
    """The network of timm with the weights of the package, taken in order."""
    network = timm.create_model(f"tf_efficientnet_{name}", pretrained=False).eval()
    state = torch.load(module._packaged_weights(name), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    return network


def test_the_features_are_those_of_timm(name: Any) -> None:
    backbone = EfficientNetLite(name, frozen=True)
    lightness = torch.rand(2, 1, 96, 64) * 2 - 1
    network = classifier(name)
    with torch.no_grad():
        # (x - 127) / 128 of gray 0..255.
        rgb = (((lightness + 1) / 2 * 255 - 127) / 128).expand(-1, 3, -1, -1)
        wanted = [*network.forward_intermediates(rgb, intermediates_only=True)[:-1], network.forward_features(rgb)]
        maps = backbone(lightness)
    assert [m.shape for m in maps] == [w.shape for w in wanted]
    assert tuple(m.shape[1] for m in maps) == backbone.channels
    assert tuple(64 // m.shape[3] for m in maps) == backbone.reductions
    for found, expected in zip(maps, wanted, strict=True):
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)


def test_a_gray_cat_is_still_a_cat(name: Any) -> None:
    gray = torch.from_numpy(data.cat()).float().mean(dim=2)[None, None] / 127.5 - 1
    gray = F.interpolate(gray, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        features = EfficientNetLite(name, frozen=True)(gray)[-1]
        found = classifier(name).classifier(features.mean(dim=(2, 3)))
    assert int(found.argmax()) in CATS


def test_weights_of_a_file_are_taken_in_order(tmp_path: Path) -> None:
    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    torch.save(network.state_dict(), tmp_path / "lite0.pth")
    backbone = EfficientNetLite("lite0", weights=str(tmp_path / "lite0.pth"), frozen=True)
    lightness = torch.rand(1, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        wanted = network.forward_features((((lightness + 1) / 2 * 255 - 127) / 128).expand(-1, 3, -1, -1))
        torch.testing.assert_close(backbone(lightness)[-1], wanted, atol=1e-4, rtol=1e-3)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), tmp_path / "lite0.pth")
    with pytest.raises(ConfigError, match="not the weights of an efficientnet-lite1"):
        EfficientNetLite("lite1", weights=str(tmp_path / "lite0.pth"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: Any) -> None:
        raise module.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.metadata, "distribution", missing)
    with pytest.raises(ConfigError, match=re.escape(install_hint("lite"))) as error:
        EfficientNetLite("lite0")
    assert "\n" not in str(error.value)


def test_other_contents_of_the_package_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._SHA256, "lite0", "0" * 64)
    with pytest.raises(ConfigError, match="SHA-256"):
        EfficientNetLite("lite0")


@pytest.mark.parametrize("frozen", [-1, 8])
def test_no_such_number_of_stages(frozen: int) -> None:
    with pytest.raises(ConfigError, match="true, false, or 1 to 7"):
        EfficientNetLite("lite0", pretrained=False, frozen=frozen)


@pytest.mark.parametrize("frozen", [True, False, 1, 4, 7])
def test_what_is_frozen_stands_still(frozen: bool | int) -> None:
    """Weights that are trained get gradients and no others do; statistics change only where nothing is frozen."""
    torch.manual_seed(0)
    backbone = EfficientNetLite("lite0", pretrained=False, frozen=frozen).train()
    statistics = {key: value.clone() for key, value in backbone.named_buffers()}
    maps = backbone(torch.rand(2, 1, 64, 64) * 2 - 1)
    if frozen is not True:
        sum(m.mean() for m in maps).backward()
    trained = {name for name, parameter in backbone.named_parameters() if parameter.grad is not None}
    assert trained == {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    stages = {name.split(".")[1] if name.startswith("stages") else name.split(".")[0] for name in trained}
    if frozen is True:
        assert not trained
    elif frozen is False:
        assert trained == {name for name, _ in backbone.named_parameters()}
    else:
        assert stages == {"head", *map(str, range(frozen, 7))}
    moved = any(not torch.equal(value, statistics[key]) for key, value in backbone.named_buffers())
    assert moved == (frozen is False)


def test_strided_filters_have_float32_gradients() -> None:
    """Under autocast on a CPU. Without a gradient they are computed in bfloat16 like all others."""
    layer = module._ConvNorm(8, 8, 3, stride=2, groups=8).eval()
    x = torch.rand(1, 8, 16, 16)
    plain = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        assert_close(layer(x.requires_grad_()), plain, rtol=0, atol=0)


def test_the_backbone_has_its_own_share_of_the_learning_rate(compose_config: Compose) -> None:
    from colorization.checkpoints.network import build_network
    from colorization.training.module import ColorizationModule

    config = compose_config(
        "backbone=efficientnet_lite0", "backbone.pretrained=false", "backbone.rate=0.25", "optimizer.lr=0.01"
    )
    network, objective = build_network(config)
    trained = ColorizationModule(network, objective, config)
    rest, backbone = trained._optimizer(instantiate(config["optimizer"], "optimizer")).param_groups
    assert (rest["lr"], backbone["lr"]) == (0.01, 0.0025)
    assert set(backbone["params"]) == set(network.backbone.parameters())
    assert set(rest["params"]) == set(network.decoder.parameters())
