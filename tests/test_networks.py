"""Backbones and decoders: every pair that stands in conf/, and the promises of their contracts."""

import itertools
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from colorization.backbones import TorchvisionBackbone
from colorization.checkpoints.network import build_network
from colorization.config.instantiate import instantiate
from colorization.decoders.autoencoder import AutoencoderDecoder
from colorization.decoders.pyramid import PyramidDecoder
from colorization.decoders.unet import UNetDecoder
from colorization.errors import ConfigError
from colorization.network import ColorizationNetwork
from tests.helpers.runs import REQUIRED, Compose, options

# Each backbone once, with the decoders in turn: what a decoder does with other pyramids is tested with small ones.
PAIRS = list(zip(options("backbone"), itertools.cycle(options("decoder")), strict=False))


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_every_backbone_trains_a_step(compose_config: Compose, backbone: str, decoder: str) -> None:
    config = compose_config(
        f"backbone={backbone}", "backbone.pretrained=false", f"decoder={decoder}", *REQUIRED.get(backbone, [])
    )
    network, objective = build_network(config)
    reductions = network.backbone.reductions
    assert list(reductions) == sorted(reductions)
    optimizer = instantiate(config["optimizer"], "optimizer")(list(network.parameters()))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    lightness, ab = torch.rand(2, 1, 45, 71) * 2 - 1, torch.randn(2, 2, 45, 71) * 20
    prediction = network(lightness)
    assert prediction.shape == (2, objective.out_channels, 45, 71)
    objective.loss(prediction, ab, (lightness + 1) * 50)["loss"].backward()
    optimizer.step()
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    assert objective.decode(prediction.detach()).shape == (2, 2, 45, 71)


@pytest.mark.parametrize("reductions", [(1, 2, 4, 8, 16, 32), (2, 4, 8, 16, 32), (4, 8, 16, 32), (8, 8, 8), (14,)])
@pytest.mark.parametrize("decoder", options("decoder"))
def test_the_contract_of_decoders(compose_config: Compose, decoder: str, reductions: tuple[int, ...]) -> None:
    """Any pyramid: a transformer's maps are all of one size, some reduce by 14. Every weight takes part."""
    node = {**compose_config(f"decoder={decoder}")["decoder"], "width": 16}
    channels = [4 + 2 * index for index in range(len(reductions))]
    built = instantiate(node, "decoder", channels=channels, reductions=reductions, out_channels=3)
    sides = (2 * max(reductions), 3 * max(reductions))
    output = built([torch.rand(2, c, sides[0] // r, sides[1] // r) for c, r in zip(channels, reductions, strict=True)])
    assert output.shape == (2, 3, *sides)
    output.square().sum().backward()
    assert all(parameter.grad is not None for parameter in built.parameters())


@pytest.mark.parametrize("objective", options("objective"))
@pytest.mark.parametrize("decoder", options("decoder"))
def test_every_objective_goes_with_every_decoder(
    compose_config: Compose, vgg_file: Path, objective: str, decoder: str
) -> None:
    needed = [f"objective.terms.perceptual.weights={vgg_file}"] if objective == "perceptual" else []
    config = compose_config(
        "backbone=resnet18", "backbone.pretrained=false", f"decoder={decoder}", f"objective={objective}", *needed
    )
    network, meaning = build_network(config)
    lightness = torch.rand(1, 1, 32, 32)
    prediction = network.eval()(lightness * 2 - 1)
    assert torch.isfinite(meaning.loss(prediction, torch.randn(1, 2, 32, 32), lightness * 100)["loss"])
    ab = meaning.decode(prediction)
    assert ab.shape == (1, 2, 32, 32)
    assert ab.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "channels", "reductions"),
    [
        ("vgg16", (64, 128, 256, 512, 512, 512), (1, 2, 4, 8, 16, 32)),
        ("vgg19", (64, 128, 256, 512, 512, 512), (1, 2, 4, 8, 16, 32)),
        ("resnet18", (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)),
        ("resnet50", (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32)),
    ],
)
def test_pyramid(name: str, channels: tuple[int, ...], reductions: tuple[int, ...]) -> None:
    backbone = TorchvisionBackbone(name, pretrained=False)  # type: ignore[arg-type]
    assert backbone.channels == channels
    assert backbone.reductions == reductions
    maps = backbone(torch.rand(2, 1, 64, 96))
    expected = [(2, count, 64 // r, 96 // r) for count, r in zip(channels, reductions, strict=True)]
    assert [tuple(m.shape) for m in maps] == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 33), (31, 2), (32, 32)])
def test_any_size_down_to_one_pixel(size: tuple[int, int]) -> None:
    backbone = TorchvisionBackbone("resnet18", pretrained=False)
    network = ColorizationNetwork(backbone, UNetDecoder(backbone.channels, backbone.reductions, 2)).eval()
    assert network(torch.rand(1, 1, *size)).shape == (1, 2, *size)


def test_autoencoder_looks_at_the_deepest_map_alone() -> None:
    decoder = AutoencoderDecoder((8, 16), (1, 4), 2)
    deepest = torch.rand(1, 16, 4, 4)
    first, second = (decoder([torch.rand(1, 8, 16, 16), deepest]) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, decoder([torch.rand(1, 8, 16, 16), deepest + 1]))


def test_pyramid_convolves_what_it_joined() -> None:
    """Convolving before upsampling gives what a convolution of the concatenation does."""
    decoder = PyramidDecoder((8, 16, 24), (4, 8, 16), 2, width=32)
    maps = [torch.rand(2, count, 48 // r, 80 // r) for count, r in ((8, 4), (16, 8), (24, 16))]
    x = decoder.steps[0](maps[2])
    for step, joined in ((decoder.steps[1], maps[1]), (decoder.steps[2], maps[0])):
        assert isinstance(step, nn.Sequential)
        weight = step[0].get_parameter("weight")
        up = F.interpolate(x, size=joined.shape[-2:], mode="bilinear")
        x = nn.Sequential(*step[1:])(F.conv2d(torch.cat((up, joined), dim=1), weight))
    wanted = F.interpolate(decoder.output(x), size=(48, 80), mode="bilinear")
    assert_close(decoder(maps), wanted)


def test_unet_joins_every_map() -> None:
    decoder = UNetDecoder((8, 16, 24), (1, 2, 4), 2)
    maps = [torch.rand(1, count, 16 // r, 16 // r, requires_grad=True) for count, r in ((8, 1), (16, 2), (24, 4))]
    decoder(maps).square().sum().backward()
    assert all(m.grad is not None and m.grad.abs().max() > 0 for m in maps)


def test_frozen_backbone_stands_still_and_its_batchnorm_too() -> None:
    backbone = TorchvisionBackbone("resnet18", pretrained=False, frozen=True)
    network = ColorizationNetwork(backbone, UNetDecoder(backbone.channels, backbone.reductions, 2)).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    assert any("running_mean" in key for key in before)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(2):
        network(torch.rand(2, 1, 32, 32)).sum().backward()
        optimizer.step()
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert any(parameter.grad is not None for parameter in network.decoder.parameters())


def test_unfrozen_batchnorm_does_learn() -> None:
    backbone = TorchvisionBackbone("resnet18", pretrained=False).train()
    before = backbone.get_buffer("layers.bn1.running_mean").clone()
    backbone(torch.rand(2, 1, 32, 32))
    assert not torch.equal(before, backbone.get_buffer("layers.bn1.running_mean"))


def test_pretrained_network_sees_gray_as_imagenet_rgb() -> None:
    """A classifier's own features of the gray picture, normalized as torchvision's recipe says."""
    torch.manual_seed(0)
    classifier = torchvision.models.resnet18().eval()
    backbone = TorchvisionBackbone("resnet18", pretrained=False).eval()
    backbone.layers.load_state_dict(classifier.state_dict(), strict=False)
    gray = torch.rand(1, 1, 64, 64)
    normalize = torchvision.transforms.v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        expected = classifier.relu(classifier.bn1(classifier.conv1(normalize(gray.expand(-1, 3, -1, -1)))))
        assert torch.allclose(backbone(gray * 2 - 1)[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["vgg16", "resnet18"])
@pytest.mark.parametrize("part", ["classifier", "features"])
def test_weights_file(tmp_path: Path, name: str, part: str) -> None:
    donor = TorchvisionBackbone(name, pretrained=False)  # type: ignore[arg-type]
    state = donor.layers.state_dict()
    if part == "classifier":
        head = "classifier.6" if name == "vgg16" else "fc"
        state = {(f"features.{key}" if name == "vgg16" else key): value for key, value in state.items()}
        state[f"{head}.weight"] = torch.zeros(3, 3)
    torch.save(state, tmp_path / "weights.pth")
    taker = TorchvisionBackbone(name, weights=str(tmp_path / "weights.pth"))  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(donor.parameters(), taker.parameters(), strict=True))


def test_timm_takes_a_classifier_s_weights(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    classifier = timm.create_model("convnext_atto", pretrained=False)
    torch.save(classifier.state_dict(), tmp_path / "weights.pth")
    node = {"_target_": "colorization.backbones.TimmBackbone", "name": "convnext_atto"}
    backbone = instantiate({**node, "weights": str(tmp_path / "weights.pth")}, "backbone")
    assert torch.equal(backbone.layers.get_parameter("stem_0.weight"), classifier.stem[0].weight)
    assert backbone.reductions == (4, 8, 16, 32)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    torch.save(TorchvisionBackbone("resnet18", pretrained=False).layers.state_dict(), tmp_path / "resnet18.pth")
    (tmp_path / "text.pth").write_text("not weights")
    torch.save([1, 2], tmp_path / "list.pth")
    for file, message in (
        ("nowhere.pth", "does not exist"),
        ("text.pth", "is corrupt, or "),
        ("list.pth", "is not a state dict"),
        ("resnet18.pth", "does not fit,"),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            TorchvisionBackbone("resnet34", weights=str(tmp_path / file))
        assert file in str(error.value)


def test_without_network_pretrained_weights_say_what_to_fetch_and_where_to_put_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ConfigError) as error:
        TorchvisionBackbone("resnet18")
    for part in ("resnet18-f37072fd.pth", str(tmp_path / "hub"), "backbone.weights=FILE", "backbone.pretrained=false"):
        assert part in str(error.value)


def test_cached_pretrained_weights_need_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    donor = TorchvisionBackbone("resnet18", pretrained=False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(donor.layers.state_dict(), folder / "resnet18-f37072fd.pth")
    taker = TorchvisionBackbone("resnet18")
    assert all(torch.equal(a, b) for a, b in zip(donor.parameters(), taker.parameters(), strict=True))


def test_unknown_timm_network_is_named() -> None:
    pytest.importorskip("timm")
    node = {"_target_": "colorization.backbones.TimmBackbone", "name": "convnext_tinny", "pretrained": False}
    with pytest.raises(ConfigError, match=r"convnext_tinny is not a network of timm \(did you mean convnext"):
        instantiate(node, "backbone")
