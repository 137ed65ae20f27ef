"""What a checkpoint's configuration may have built: parts of networks where they belong, without files or network."""

import copy
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from colorization import Colorizer
from colorization.checkpoints.network import ENTRY, packages_needed, read_checkpoint
from colorization.checkpoints.stored_config import buildable, packages_of
from colorization.decoders.autoencoder import AutoencoderDecoder
from colorization.decoders.base import Decoder
from colorization.errors import CheckpointError, ConfigError
from tests.helpers.limits import limited
from tests.helpers.tiny import tiny_checkpoint, tiny_config

Change = Callable[[dict[str, Any]], object]
PERCEPTUAL = {"_target_": "colorization.objectives.terms.perceptual.Perceptual", "network": "vgg19"}


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    return tiny_checkpoint(tiny_config())


def backbone(**options: Any) -> dict[str, Any]:
    return {"_target_": "colorization.backbones.TorchvisionBackbone", "name": "resnet18", **options}


# Each opens a file, or asks a server, where nodes are built wherever they stand.
NESTED: dict[str, tuple[Change, bool]] = {
    "a backbone for a width": (lambda c: c["decoder"].update(width=backbone(weights="PRIVATE")), False),
    "a download for a width": (lambda c: c["decoder"].update(width=backbone()), False),
    "a term for a loss": (lambda c: c["objective"].update(loss=PERCEPTUAL), False),
    "a node in a list": (lambda c: c["decoder"].update(width=[[backbone(weights="PRIVATE")]]), False),
    "a node in a dict": (lambda c: c["objective"].update(delta={"a": {"b": PERCEPTUAL}}), False),
    "a backbone for a name": (lambda c: c["backbone"].update(name=backbone(weights="PRIVATE")), False),
    "a backbone for weights": (lambda c: c["backbone"].update(weights=backbone(weights="PRIVATE")), False),
    "weights": (lambda c: c["backbone"].update(weights="PRIVATE"), True),
    "pretrained": (lambda c: c["backbone"].update(pretrained=True), True),
    "pretrained by default": (lambda c: c["backbone"].pop("pretrained"), True),
    "a perceptual term": (lambda c: c["objective"].update(terms={"look": {**PERCEPTUAL, "weights": "PRIVATE"}}), True),
    "a term that downloads": (lambda c: c["objective"].update(terms={"look": PERCEPTUAL}), True),
    "a partial node": (lambda c: c["decoder"].update(width={**backbone(), "_partial_": True}), False),
    "a term for an objective": (lambda c: c.update(objective=PERCEPTUAL), False),
    "a module that is imported": (lambda c: c["decoder"].update(_target_="colorization.commands.train.run"), False),
    "a name with a scheme": (lambda c: c["backbone"].update(name="local-dir:/etc"), False),
    "a name at a hub": (lambda c: c["backbone"].update(name="hf-hub:timm/resnet18.a1_in1k"), False),
}


@pytest.mark.parametrize(("change", "loads"), NESTED.values(), ids=NESTED.keys())
def test_nothing_is_opened_and_nobody_is_asked(
    change: Change, loads: bool, checkpoint: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private.pth"
    torch.save({"secret": torch.zeros(1)}, private)
    changed = {**checkpoint, ENTRY: copy.deepcopy(checkpoint[ENTRY])}
    change(changed[ENTRY]["config"])
    changed = replaced(changed, "PRIVATE", str(private))
    path = tmp_path / "odd.ckpt"
    torch.save(changed, path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))

    def forbidden(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the network was used")

    for function in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, function, forbidden)
    outcome = limited(lambda: Colorizer.from_checkpoint(path, device="cpu"), seconds=30)
    assert outcome.ended == ("returned" if loads else "raised CheckpointError"), outcome
    assert "the network was used" not in outcome.said
    opened = {where for event, where in outcome.touched if event == "open"}
    assert str(path) in opened
    assert not [where for where in opened if where.startswith(str(tmp_path)) and where != str(path)]
    assert not [event for event, _ in outcome.touched if event != "open"]
    assert not (tmp_path / "cache").exists()


def replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: replaced(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, old, new) for item in value]
    return new if isinstance(value, str) and value == old else value


class Mixed(Decoder):
    """A decoder of another package, with parts of parts."""

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        out_channels: int,
        inner: Decoder | None = None,
        several: Mapping[str, nn.Module] | None = None,
        make: Callable[[int], nn.Module] | None = None,
        untyped: Any = None,
        table: Path | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__(channels, reductions, out_channels)
        assert table is None
        assert not pretrained
        self.several = nn.ModuleDict(dict(several or {}))
        self.made = make(3) if make else None
        self.inner = AutoencoderDecoder(channels, reductions, out_channels, width=16)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.inner(features)


class Scale(nn.Module):
    """A part of `Mixed`."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor


@pytest.fixture
def mylab(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("mylab")
    for part in (Mixed, Scale):
        monkeypatch.setattr(part, "__module__", "mylab")
        setattr(module, part.__name__, part)
    monkeypatch.setitem(sys.modules, "mylab", module)
    return "mylab"


def node(name: str, **options: Any) -> dict[str, Any]:
    return {"_target_": f"mylab.{name}", **options}


def test_a_trusted_package_s_networks_are_built(mylab: str, checkpoint: dict[str, Any], tmp_path: Path) -> None:
    config = {**tiny_config(), "decoder": node("Mixed", several={"a": node("Scale", factor=2.0)}, table="/etc/passwd")}
    state = {key.replace("decoder.", "decoder.inner."): value for key, value in checkpoint["state_dict"].items()}
    path = tmp_path / "mine.ckpt"
    torch.save({ENTRY: {"format": 1, "config": config}, "state_dict": state}, path)
    with pytest.raises(
        CheckpointError, match=r"decoder\._target_=mylab\.Mixed is refused: only colorization\.backbones"
    ):
        Colorizer.from_checkpoint(path, device="cpu")
    for trusted in (("mylab",), ["other", "mylab"], "mylab"):
        colorizer = Colorizer.from_checkpoint(path, device="cpu", trusted=trusted)
        decoder = colorizer.model.get_submodule("network.decoder")
        assert type(decoder) is Mixed
        assert decoder.several["a"].factor == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner": node("Scale", factor=1.0)}, r"decoder\.inner\._target_=mylab\.Scale is not a Decoder"),
        ({"untyped": node("Scale", factor=1.0)}, r"decoder\.untyped takes no part of a network"),
        ({"several": {"a": PERCEPTUAL}}, r"decoder\.several\.a\._target_=.*Perceptual is refused: terms of a loss"),
        (
            {"several": {"a": {"_target_": "torch.nn.Linear"}}},
            r"decoder\.several\.a\._target_=torch\.nn\.Linear is refused",
        ),
        ({"inner": node("Mixed", pretrained={"a": node("Scale")})}, r"decoder\.inner\.pretrained\.a takes no part"),
    ],
)
def test_also_there_parts_are_of_the_kind_that_is_expected(mylab: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        buildable(node("Mixed", **options), Decoder, "decoder", packages_of(["mylab"]))


def test_beginnings_and_paths_are_left_out_at_any_depth(mylab: str) -> None:
    stored = node("Mixed", table="/etc/passwd", pretrained=True, inner=node("Mixed", table="x", untyped="kept"))
    inner = node("Mixed", untyped="kept", pretrained=False)
    expected = node("Mixed", inner=inner, pretrained=False)
    assert buildable(stored, Decoder, "decoder", packages_of(["mylab"])) == expected
    partial = node("Scale", _partial_=True)
    assert buildable(node("Mixed", make=partial), Decoder, "decoder", packages_of(["mylab"]))["make"] == partial


def test_an_objective_whose_pixels_do_not_count_is_rebuilt_without_its_terms(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tiny_config())
    whole[ENTRY]["config"]["objective"] |= {"weight": 0.0, "terms": {"look": PERCEPTUAL}}
    torch.save(whole, tmp_path / "gan.ckpt")
    assert Colorizer.from_checkpoint(tmp_path / "gan.ckpt", device="cpu")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.update(more=[0] * 20_000),
        lambda config: config["decoder"].update(width=deep(40)),
        lambda config: config.update(more=shared(60)),
        lambda config: config.update(more=torch.zeros(1)),
        lambda config: config["backbone"].update({"_target_": ["colorization.backbones.TimmBackbone"]}),
        lambda config: config["backbone"].update({"_target_": {}}),
        lambda config: config.update(backbone=["colorization"]),
        lambda config: config["backbone"].update({7: 7}),
        lambda config: config["backbone"].update(name="x" * 1_000_000),
        lambda config: config["backbone"].update({"x" * 1_000_000: 1}),
        lambda config: config["decoder"].update(width=10**600),
    ],
)
def test_configurations_that_are_no_plain_small_ones(
    change: Change, checkpoint: dict[str, Any], tmp_path: Path
) -> None:
    changed = {**checkpoint, ENTRY: copy.deepcopy(checkpoint[ENTRY])}
    change(changed[ENTRY]["config"])
    path = tmp_path / "odd.ckpt"
    torch.save(changed, path)
    outcome = limited(lambda: Colorizer.from_checkpoint(path, device="cpu"))
    assert outcome.ended == "raised CheckpointError", outcome
    assert outcome.said.startswith(f"checkpoint {path} ")
    assert len(outcome.said) < 700


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def shared(levels: int) -> Any:
    value: Any = [1]
    for _ in range(levels):
        value = [value, value]
    return value


def test_a_checkpoint_of_many_queries_takes_no_longer_than_its_weights_justify(
    tmp_path: Path, checkpoint: dict[str, Any]
) -> None:
    changed = {**checkpoint, ENTRY: copy.deepcopy(checkpoint[ENTRY])}
    changed[ENTRY]["config"]["decoder"] = tiny_config(decoder="query")["decoder"] | {"layers": 10**6}
    path = tmp_path / "odd.ckpt"
    torch.save(changed, path)
    outcome = limited(lambda: Colorizer.from_checkpoint(path, device="cpu"))
    assert outcome.ended == "raised CheckpointError", outcome
    assert "builds a network of more than" in outcome.said
    assert read_checkpoint(path)[ENTRY]["config"]["decoder"]["layers"] == 10**6


def test_terms_of_a_loss_need_no_trust() -> None:
    term = {"_target_": "colorization.objectives.terms.Adversarial", "optimizer": {"_target_": "torch.optim.Adam"}}
    objective = {"_target_": "mylab.Objective", "terms": {"adversarial": term}, "weight": {"_target_": "other.Weight"}}
    assert packages_needed({"objective": objective, "backbone": {"_target_": "third.Net"}}) == ("mylab", "third")
