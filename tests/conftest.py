"""What several tests share. Photos are made here: no test needs a download or a folder outside the repository."""

import csv
import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from colorization.commands.main import COMMANDS
from colorization.config.instantiate import resolve
from colorization.config.resolvers import register

CONF = Path(__file__).parent.parent / "conf"
Compose = Callable[..., dict[str, Any]]
RunScript = Callable[..., None]

# Options that make a run small enough for a test.
SMALL = (
    "backbone=resnet18",
    "backbone.pretrained=false",
    "data.size=32",
    "data.batch_size=2",
    "data.num_workers=0",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "trainer.precision=32-true",
    "trainer.log_every_n_steps=1",
    "logger=none",
)

# A network of timm's for tests: checkpoints of a megabyte.
TINY = ("backbone=timm", "backbone.name=test_efficientnet", "backbone.pretrained=false", "decoder.width=16")


def make_photo(width: int = 48, height: int = 40, seed: int = 0) -> Image.Image:
    """A colourful picture: smooth random blobs."""
    generator = np.random.default_rng(seed)
    blobs = Image.fromarray(generator.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return blobs.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of VGG19's first layers, up to relu3_4, as a file of torchvision's form."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save(torchvision.models.vgg19(weights=None).features[:18].state_dict(), path)
    return path


def make_folder(folder: Path, count: int = 6) -> Path:
    """A folder with `count` photos, some of them nested."""
    (folder / "nested" / "deeper").mkdir(parents=True)
    for index in range(count):
        place = (folder, folder / "nested", folder / "nested" / "deeper")[index % 3]
        make_photo(48 + index, 40, seed=index).save(place / f"photo {index}.png")
    return folder


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
    train_in(folder / "run", folder / "photos", "trainer.max_epochs=2")
    return folder / "run"


def train_in(folder: Path, photos: Path, *overrides: str) -> None:
    """Trains a small network in this process, with `folder` as the folder of the run."""
    arguments = [*SMALL, "data=folder", f"data.root={photos}", "data.val_share=0.4", f"hydra.run.dir={folder}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *arguments, *overrides])
        COMMANDS["train"]()


def rows(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's `metrics.csv`."""
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def sweep_toy(*arguments: str) -> int | str | None:
    """Runs `toy_sweep` in this process, with the folder `sweep` for a multirun, and returns what it exits with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["toy_sweep.py", *arguments, "hydra.sweep.dir=sweep"])
        try:
            import_module("tests.toy_sweep").command()
        except SystemExit as stop:
            return stop.code
    return 0


def leaderboard(sweep: Path) -> list[dict[str, str]]:
    """The rows of a sweep's `leaderboard.csv`."""
    with (sweep / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))
