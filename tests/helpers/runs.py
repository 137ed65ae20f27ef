"""Small runs of the commands, and what they leave."""

import csv
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from colorization.commands.main import COMMANDS

CONF = Path(__file__).parent.parent.parent / "conf"
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
            import_module("tests.helpers.toy_sweep").command()
        except SystemExit as stop:
            return stop.code
    return 0


def leaderboard(sweep: Path) -> list[dict[str, str]]:
    """The rows of a sweep's `leaderboard.csv`."""
    with (sweep / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# Options that a group's option can't do without.
REQUIRED = {"timm": ["backbone.name=convnext_atto"], "default": ["data.root=photos"]}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_"))
