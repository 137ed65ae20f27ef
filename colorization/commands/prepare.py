"""Packs a folder of photos into shards: `colorize-prepare SRC DST size=256`. `--help` lists the options.

This module does not import PyTorch: a refused command does not wait for it.
"""

import re
import shlex
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from colorization.commands.arguments import quoted
from colorization.config.instantiate import resolve_early
from colorization.data.roots import check_folder
from colorization.data.tars.index import MANIFEST, UNFINISHED
from colorization.errors import ConfigError
from colorization.imagefiles import walk_pictures
from colorization.runtime.console import console
from colorization.runtime.installation import command_line
from colorization.runtime.stopping import stopping_at_once

_PLACES = ("source", "target")


def run(composed: DictConfig) -> None:
    """Writes shards, their manifest, and a list of the photos that were left out."""
    config = resolve_early(composed)
    check(config)
    source, target = (Path(config[key]).expanduser() for key in _PLACES)
    check_places(source, target)
    with stopping_at_once():
        from colorization.data.folder import FolderPhotos
        from colorization.data.tars.preparing import LEFT_OUT, prepare, prepared
        from colorization.data.tars.writing import Plan, Recipe
    recipe = Recipe(config["size"], config["quality"], config["photos_per_shard"], config["val_share"])
    plan = Plan(FolderPhotos(source, walk_pictures(source)), recipe)
    if manifest := prepared(plan, target):
        console.print("The shards are complete.")
    else:
        manifest = prepare(plan, target, config["num_workers"])
    left_out = f", {manifest.left_out} left out: {target / LEFT_OUT}" if manifest.left_out else ""
    console.print(f"{manifest.photos} photos in {len(manifest.shards)} shards{left_out}", markup=False)
    root = str(target) if re.fullmatch(r"[\w./-]+", str(target)) else quoted(str(target))
    console.print(f"  {command_line('train')} data=shards {shlex.quote(f'data.root={root}')}", markup=False)


def check(config: dict[str, Any]) -> None:
    """Checks the options.

    Raises:
        ConfigError: a value is out of range.
    """
    least = {"size": 16, "quality": 1, "photos_per_shard": 1, "num_workers": 0}
    for key, value in least.items():
        if config[key] < value:
            raise ConfigError(f"{key}={config[key]} is too small: give {value} or more")
    if config["quality"] > 100:
        raise ConfigError(f"quality={config['quality']} is too large: give at most 100")
    if not 0 < config["val_share"] < 1:
        raise ConfigError(f"val_share={config['val_share']:g} is not a share: give a number between 0 and 1, as 0.1")


def check_places(source: Path, target: Path) -> None:
    """Checks the source and target folders.

    Raises:
        ColorizationError: a folder can't be used.
    """
    check_folder(source, "source")
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigError(
            f"target={target} and source={source} must not contain each other: give another folder for the shards"
        )
    if target.is_symlink() and not target.exists():
        raise ConfigError(f"target={target} is a broken link: remove it, or give another folder for the shards")
    if target.exists() and not target.is_dir():
        raise ConfigError(f"target={target} is a file: give a folder for the shards")
    known = any((target / name).exists() for name in (MANIFEST, UNFINISHED))
    if target.is_dir() and not known and any(target.iterdir()):
        raise ConfigError(f"target={target} holds other files: give an empty or a new folder")
