"""Checkpoints: they say what they are, colour as the network that wrote them did, and run nobody's code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from colorization import Colorizer
from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.config.instantiate import instantiate
from colorization.errors import CheckpointError
from colorization.network import TrainedNetwork
from tests.helpers.photos import make_photo
from tests.helpers.runs import SMALL, Compose
from tests.helpers.tiny import tiny_checkpoint, tiny_config

Fails = Callable[..., str]


def test_checkpoint_is_plain_and_says_what_it_is(trained: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    entry = checkpoint[ENTRY]
    assert entry["format"] == 1
    assert entry["config"] == yaml.safe_load((trained / "config.yaml").read_text())
    assert type(entry["config"]["backbone"]) is dict
    assert not any("_orig_mod." in key for key in checkpoint["state_dict"])


def test_checkpoint_colors_bit_for_bit_as_the_network_that_wrote_it(
    compose_config: Compose, tmp_path: Path, photos: Path
) -> None:
    """The trainer's own module, kept in memory, against what comes back from its file."""
    from pytorch_lightning import Trainer

    from colorization.checkpoints.network import build_network
    from colorization.training.module import ColorizationModule

    overrides = [*SMALL, "data=folder", f"data.root={photos}"]
    config = compose_config(*overrides)
    network, objective = build_network(config)
    module = ColorizationModule(
        network,
        objective,
        config,
        instantiate(config["optimizer"], "optimizer"),
        instantiate(config["scheduler"], "scheduler"),
    )
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(module, instantiate(config["data"], "data"))
    trainer.save_checkpoint(tmp_path / "written.ckpt")
    photo = np.asarray(make_photo(50, 37, seed=9))
    in_memory = Colorizer(TrainedNetwork(network, objective), resolution=32)
    from_file = Colorizer.from_checkpoint(tmp_path / "written.ckpt", device="cpu")
    lightness = torch.rand(1, 1, 37, 50) * 100
    assert torch.equal(in_memory.predict_ab(lightness), from_file.predict_ab(lightness))
    assert np.array_equal(in_memory(photo), from_file(photo))


def test_checkpoint_needs_neither_config_folder_nor_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resnet = {"_target_": "colorization.backbones.TorchvisionBackbone", "name": "resnet18", "pretrained": False}
    checkpoint = tiny_checkpoint({**tiny_config(), "backbone": resnet})
    checkpoint[ENTRY]["config"]["backbone"] |= {"pretrained": True, "weights": "/nowhere/weights.pth"}
    torch.save(checkpoint, tmp_path / "moved.ckpt")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert Colorizer.from_checkpoint(tmp_path / "moved.ckpt", device="cpu")(make_photo()).size == (48, 40)


def damaged(trained: Path, path: Path, damage: Callable[[dict[str, Any]], object]) -> Path:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    damage(checkpoint)
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.pop(ENTRY), "was not written by this project"),
        (lambda c: c[ENTRY].update(format=99), "has format 99, newer than the 1"),
        (lambda c: c[ENTRY].update(format=99, config={"of": "another form"}), "has format 99, newer than the 1"),
        (lambda c: c[ENTRY]["config"].update(data=None), "is incomplete"),
        (lambda c: c[ENTRY]["config"]["decoder"].update(_target_="os.system"), r"_target_=os\.system is refused"),
        (lambda c: c[ENTRY]["config"]["decoder"].update(_target_="torch.nn.Linear"), "is refused"),
        (
            lambda c: c[ENTRY]["config"]["decoder"].update(_target_="colorization.checkpoints.network.torch.hub.load"),
            "is refused",
        ),
        (
            lambda c: c[ENTRY]["config"]["decoder"].update(_target_="colorization.imagefiles.write_picture"),
            r"only colorization\.backbones, colorization\.decoders, colorization\.objectives may be named",
        ),
        (
            lambda c: c[ENTRY]["config"]["decoder"].update(_target_="colorization.objectives.regression.Regression"),
            "is not a Decoder",
        ),
        (
            lambda c: c[ENTRY]["config"]["objective"].update(loss={"_target_": "colorization.config.instantiate.save"}),
            r"objective\.loss takes no part of a network",
        ),
        (
            lambda c: c[ENTRY]["config"]["backbone"].update(name="${oc.env:HOME}"),
            r"backbone\.name=\$\{oc\.env:HOME\}",
        ),
        (lambda c: c[ENTRY]["config"].pop("data"), "is incomplete"),
        (lambda c: c.update(state_dict=[1]), "is incomplete"),
        (lambda c: c[ENTRY]["config"].pop("backbone"), "backbone is missing"),
        (lambda c: c[ENTRY].update(resolution=10**6), r"its resolution is not within 16\.\.4096"),
        (lambda c: c[ENTRY]["config"]["decoder"].update(width=64), "can't be rebuilt: .*size mismatch"),
        (lambda c: c["state_dict"].popitem(), "can't be rebuilt: .*Missing key"),
        (lambda c: c.pop("state_dict"), "is incomplete"),
    ],
)
def test_checkpoints_that_are_refused(
    trained: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = damaged(trained, tmp_path / "odd.ckpt", damage)
    with pytest.raises(CheckpointError, match=message) as error:
        Colorizer.from_checkpoint(path, device="cpu")
    assert "odd.ckpt" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [0, 100, 100_000])
def test_truncated_checkpoints_are_refused(trained: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "short.ckpt"
    path.write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"short\.ckpt is corrupt"):
        read_checkpoint(path)


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "hacked",)

    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps({"state_dict": Evil()}))
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "evil.ckpt")
    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "hacked").exists()
