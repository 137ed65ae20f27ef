"""Checks of a data source's options, without PyTorch: ranges, and folders that hold pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colorization.errors import ConfigError, DataError
from colorization.imagefiles.finding import holds_pictures

# The least that any source can work with.
_LEAST = {"size": 16, "batch_size": 1, "num_workers": 0}


def check_loading(options: Mapping[str, Any]) -> None:
    """Checks how photos are loaded.

    Args:
        options: of a source; those that are missing or no number are left to it.

    Raises:
        ConfigError: a number is too small.
    """
    for key, least in _LEAST.items():
        value = options.get(key)
        if isinstance(value, int | float) and not value >= least:  # NaN as well
            raise ConfigError(f"data.{key}={value} is too small: give {least} or more")


def check_photos(data: Mapping[str, Any]) -> None:
    """Checks the numbers of a source, and the folder of `data=folder`, before anything is built. Other sources may be
    elsewhere.

    Args:
        data: the node `data`.

    Raises:
        ConfigError: see `check_loading`.
        DataError: see `check_folder`.
    """
    check_loading(data)
    if data.get("_target_") == "colorization.data.folder.FolderDataModule":
        check_folder(Path(data["root"]).expanduser(), "data.root")


def check_folder(folder: Path, option: str, pictures: str = "photos") -> None:
    """Checks a folder of pictures.

    Args:
        folder: it and its sub-folders are searched.
        option: that names it, for messages.
        pictures: what it has to hold, for messages.

    Raises:
        DataError: it is none, or holds no picture.
        OSError: it can't be listed.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{option}={folder} {what}: give a folder of {pictures}")
    if not holds_pictures(folder):
        raise DataError(
            f"{option}={folder} holds no pictures (.jpg, .png, .webp, .tif, ...): give a folder of {pictures}"
        )
