"""What several tests share. Photos are made here: no test needs a download or a folder outside the repository."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from colorization.commands.main import COMMANDS
from colorization.config.instantiate import resolve
from colorization.config.resolvers import register
from tests.helpers.photos import make_folder
from tests.helpers.runs import CONF, TINY, Compose, RunScript, train_in


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests begin first, or one process would wait for another's last one."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of VGG19's first layers, up to relu3_4, as a file of torchvision's form."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save(torchvision.models.vgg19(weights=None).features[:18].state_dict(), path)
    return path


@pytest.fixture(scope="session")
def vgg16_bn_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of VGG16 with BatchNorm, as a file of torchvision's form."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg16_bn.pth"
    torch.save(torchvision.models.vgg16_bn(weights=None).features.state_dict(), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "photos")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Tests neither see the user's W&B key and caches nor write into the working tree."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)
    yield
    GlobalHydra.instance().clear()


@pytest.fixture
def compose_config(tmp_path: Path) -> Compose:
    """Composes a configuration as a script would, resolved."""

    def run(*overrides: str, script: str = "train") -> dict[str, Any]:
        register()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return resolve(compose(script, [*overrides, f"paths.run={tmp_path / 'run'}"]))

    return run


@pytest.fixture
def run_script(monkeypatch: pytest.MonkeyPatch) -> RunScript:
    """Runs a script in this process."""

    def run(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        os.environ.pop("HYDRA_FULL_ERROR", None)
        COMMANDS[name.rpartition(".")[2]]()

    return run


@pytest.fixture
def fails(run_script: RunScript, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a script that has to end with exit code 1, one sentence and no traceback. Returns the sentence."""

    def run(name: str, *arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            run_script(name, *arguments)
        message = str(stop.value.code)
        assert message.startswith("Error: ")
        assert "\n" not in message
        assert "Traceback" not in capfd.readouterr().err
        return message

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run: two epochs on eight photos, which lie beside it in `photos`."""
    folder = tmp_path_factory.mktemp("trained")
    make_folder(folder / "photos", 8)
    train_in(folder / "run", folder / "photos", *TINY, "trainer.max_epochs=2")
    return folder / "run"
