"""A network is built from its own description before it is trained, so that its checkpoints load."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from colorization.backbones import Backbone
from colorization.checkpoints.network import ENTRY, build_network, check_rebuilds, describe, rebuild
from colorization.errors import ConfigError
from colorization.training.building import build
from colorization.training.resume import Start
from tests.helpers.photos import make_folder
from tests.helpers.runs import Compose
from tests.helpers.tiny import tiny_config

HERE = __name__


class Plain(Backbone):
    """Without any of the options `pretrained`, `weights`, `frozen`."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.channels, self.reductions = (width,), (2,)
        self.layer = nn.Conv2d(3, width, 3, stride=2, padding=1)

    def _features(self, rgb: Tensor) -> list[Tensor]:
        return [self.layer(rgb)]


class Forgetful(Plain):
    """Its width is no option of it."""

    sizes = iter((8, 16))

    def __init__(self) -> None:
        super().__init__(next(Forgetful.sizes))


class Begun(Plain):
    """It can't be without the weights that it begins with."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        assert weights


def config_of(name: str, **options: Any) -> dict[str, Any]:
    return {**tiny_config(), "backbone": {"_target_": f"{HERE}.{name}", **options}}


def test_a_backbone_without_the_usual_options() -> None:
    config = config_of("Plain", width=4)
    network, objective = build_network(config)
    check_rebuilds(network, objective, config)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    again, _ = rebuild({ENTRY: describe(config), "state_dict": state}, "a.ckpt", [HERE.partition(".")[0]])
    assert torch.equal(again.backbone.layer.weight, network.backbone.layer.weight)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (config_of("Forgetful"), "size mismatch"),
        (config_of("Begun", weights="a.pth"), r"backbone\.weights=None"),
    ],
)
def test_what_can_t_be_rebuilt_is_not_trained(config: dict[str, Any], message: str) -> None:
    network, objective = build_network(config)
    with pytest.raises(ConfigError, match=f"checkpoints of this network could not be loaded.*{message}") as error:
        check_rebuilds(network, objective, config)
    assert "\n" not in str(error.value)


def test_a_run_begins_with_it_and_draws_what_it_would_have_drawn(
    compose_config: Compose, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_folder(tmp_path / "photos")
    options = [f"+backbone={{_target_:{HERE}.Forgetful}}", "decoder=autoencoder", "data=folder", f"data.root={photos}"]
    config = compose_config("~backbone", *options, "trainer=cpu", "logger=none", "data.num_workers=0")
    monkeypatch.setattr(Forgetful, "sizes", iter((8, 16)))
    with pytest.raises(ConfigError, match="size mismatch"):
        build(config, Start())
    drawn = []
    for sizes in ((8, 8), (8,)):
        monkeypatch.setattr(Forgetful, "sizes", iter(sizes))
        if len(sizes) == 1:
            monkeypatch.setattr("colorization.training.building.check_rebuilds", lambda *_: None)
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(0)
        build(config, Start())
        drawn.append((torch.rand(1).item(), np.random.rand(), random.random()))  # noqa: NPY002
    assert drawn[0] == drawn[1]
