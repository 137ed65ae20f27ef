"""`init_from`: a new run from the weights of a checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from colorization.checkpoints.network import read_checkpoint
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.commands.main import COMMANDS
from tests.helpers.photos import make_folder
from tests.helpers.runs import SMALL, TINY, train_in

Fails = Callable[..., str]
UNCHANGED = ("optimizer=sgd", "optimizer.lr=1e-12", "scheduler=constant", "backbone.frozen=true")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("six") / "photos", 6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_in(folder, photos, *TINY, "seed=1")
    return folder / "checkpoints" / "last.ckpt"


def differences(first: Path, second: Path) -> list[str]:
    before, after = (read_checkpoint(path)["state_dict"] for path in (first, second))
    names = [key for key in before if before[key].is_floating_point()]
    assert names
    return [key for key in names if not torch.allclose(before[key].float(), after[key].float(), rtol=1e-5, atol=1e-6)]


def test_starts_from_the_weights_of_a_checkpoint(trained: Path, photos: Path, tmp_path: Path) -> None:
    train_in(tmp_path / "run", photos, *TINY, *UNCHANGED, f"init_from={trained}")
    train_in(tmp_path / "other", photos, *TINY, *UNCHANGED)
    last = "checkpoints/last.ckpt"
    moving = ("running_mean", "running_var")  # statistics of the decoder's BatchNorm
    assert [key for key in differences(trained, tmp_path / "run" / last) if not key.endswith(moving)] == []
    assert differences(trained, tmp_path / "other" / last) != []
    # It counts its own steps: nothing of the optimizer is resumed.
    assert read_checkpoint(tmp_path / "run" / last)["global_step"] == read_checkpoint(trained)["global_step"]


def test_the_default_model_can_be_fine_tuned_without_the_package_of_its_weights(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colorization.backbones.efficientnet_lite._packaged_weights", lambda name: pytest.fail(name))
    options = (option for option in SMALL if not option.startswith("backbone"))
    small = [*options, "data=folder", f"data.root={photos}", "data.val_share=0.4", "optimizer.lr=1e-12"]
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sys.argv", ["train.py", "experiment=default", "init_from=default", *small, f"hydra.run.dir={run}"]
        )
        COMMANDS["train"]()
    assert differences(DEFAULT_MODEL, run / "checkpoints" / "last.ckpt") == []


def test_another_network_is_refused(trained: Path, photos: Path, tmp_path: Path, fails: Fails) -> None:
    options = [*SMALL, *TINY, "data=folder", f"data.root={photos}", f"hydra.run.dir={tmp_path / 'run'}"]
    said = fails("train", *options, f"init_from={trained}", "decoder.width=32")
    assert f"init_from={trained} does not fit this decoder" in said
    assert "width=16" in said
    said = fails("train", *options, "init_from=default")
    assert "init_from=default does not fit this backbone: give experiment=default init_from=default" in said
    said = fails("train", *options, f"init_from={tmp_path / 'none.ckpt'}")
    assert "none.ckpt does not exist" in said
    assert not (tmp_path / "run" / "checkpoints").exists()
