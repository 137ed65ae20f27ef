"""Folders that hold pictures, without PyTorch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colorization.errors import DataError
from colorization.imagefiles.finding import holds_pictures


def check_photos(data: Mapping[str, Any]) -> None:
    """Checks the folder of `data=folder`, before anything is built. Other sources may be elsewhere.

    Args:
        data: the node `data`.

    Raises:
        DataError: see `check_folder`.
    """
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
