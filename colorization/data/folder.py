"""Photos in a folder, nested as you like."""

import hashlib
import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from colorization.data.datamodule import PhotoDataModule, Split
from colorization.data.photos import Photos
from colorization.errors import ConfigError, DataError
from colorization.imagefiles import find_pictures, open_picture


class FolderPhotos(Photos):
    """Photos below a folder.

    Args:
        root: the folder.
        names: relative to it.
    """

    def __init__(self, root: Path, names: list[str]) -> None:
        self.root = root
        # One block of bytes, not a million objects: forked loader processes then share it for good.
        self.names = np.array([os.fsencode(name) for name in names])

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return os.fsdecode(self.names[index])

    def open(self, index: int) -> Image.Image:
        return open_picture(self.root / self.name(index))

    def stamp(self, index: int) -> str:
        try:
            status = (self.root / self.name(index)).stat()
        except OSError as error:  # a link to nowhere: a picture that can't be read, as `open` says
            return str(error.errno)
        return f"{status.st_size} {status.st_mtime_ns}"


class FolderDataModule(PhotoDataModule):
    """All pictures below a folder, split for good.

    With sub-folders `train` and `val`, those are the splits. Otherwise a hash of a picture's name relative to the
    folder decides, the same on every machine and whatever else is added. `test` is the sub-folder of that name.

    Args:
        root: the folder.
        val_share: the share of the pictures that is held out where there is no `val`, 0..1.
        loading: see `PhotoDataModule`.
    """

    def __init__(self, root: str, val_share: float = 0.1, **loading: Any) -> None:
        super().__init__(**loading)
        self.root = Path(root).expanduser()
        self.val_share = checked_share(val_share)
        self._names: list[str] = []

    def list_photos(self, split: Split) -> Photos | None:
        names = split_names(self._listed(), split, self.val_share)
        return None if names is None else FolderPhotos(self.root, names)

    def own_test_split(self) -> Split | None:
        return own_test_split(self._listed())

    def _listed(self) -> list[str]:
        if not self._names:
            self._names = self._list()
        return self._names

    def _list(self) -> list[str]:
        if not self.root.is_dir():
            what = "is a file" if self.root.exists() else "does not exist"
            raise DataError(f"data.root={self.root} {what}: give a folder of photos")
        names = find_pictures(self.root)
        if not names:
            raise DataError(
                f"data.root={self.root} holds no pictures (.jpg, .png, .webp, .tif, ...): give a folder of photos"
            )
        return names

    def __str__(self) -> str:
        return f"data.root={self.root}"


def checked_share(share: float) -> float:
    """A `val_share` that makes sense.

    Raises:
        ConfigError: it does not.
    """
    if not 0 < share < 1:
        raise ConfigError(f"data.val_share={share:g} is no share: give a number between 0 and 1, for instance 0.1")
    return share


def own_test_split(names: list[str]) -> Split | None:
    """`test` or `val`, if top-level folders of these names set photos apart for scoring; otherwise None."""
    folders = {name.split("/")[0] for name in names if "/" in name}
    if "test" in folders:
        return "test"
    return "val" if {"train", "val"} <= folders else None


def split_names(names: list[str], split: Split, val_share: float) -> list[str] | None:
    """The names of a split, by top-level folder where there are `train` and `val`, otherwise by hash.

    Args:
        names: all of them, relative and with `/`, sorted.
        split: which.
        val_share: the share of names that hashing holds out.

    Returns:
        None for `test` without such a folder.

    Raises:
        DataError: a single name can't be split.
    """
    if split == "all":
        return names
    named = [name for name in names if name.startswith(f"{split}/")]
    if split == "test":
        return named or None
    if {"train", "val"} <= {name.split("/")[0] for name in names if "/" in name}:
        return named
    rest = [name for name in names if not name.startswith("test/")]
    if len(rest) < 2:
        raise DataError("a single picture can't be split into training and validation: give two or more in data.root")
    hashes = {name: _hash(name) for name in rest}
    held_out = {name for name in rest if hashes[name] < val_share} or {min(rest, key=hashes.__getitem__)}
    if len(held_out) == len(rest):
        held_out.remove(max(rest, key=hashes.__getitem__))
    return [name for name in rest if (name in held_out) == (split == "val")]


def _hash(name: str) -> float:
    """A name's place in 0..1, the same wherever and whenever it is asked for."""
    # macOS may spell an accented name in two code points where Linux has one.
    spelled = unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(spelled).digest()[:8], "big") / 2**64
