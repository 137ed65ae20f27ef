"""Photos in a folder, nested as you like."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from colorization.data.datamodule import PhotoDataModule
from colorization.data.names import Names
from colorization.data.photos import Photos, SelectedPhotos
from colorization.data.roots import check_folder
from colorization.data.splits import Split, Splits, checked_share
from colorization.imagefiles import Shrink, open_picture, read_colors, walk_pictures
from colorization.imagefiles.picture import Pixels


class FolderPhotos(Photos):
    """Photos in a folder and its sub-folders.

    Args:
        root: the folder.
        names: relative to it.
    """

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = root
        self.names = Names(names)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def open(self, index: int) -> Image.Image:
        return open_picture(self.root / self.name(index))

    def path(self, index: int) -> Path | None:
        return self.root / self.name(index)

    def read_colors(self, index: int, shrink: Shrink | None = None) -> Pixels | None:
        return read_colors(self.root / self.name(index), shrink)

    def stamp(self, index: int) -> str:
        try:
            status = (self.root / self.name(index)).stat()
        except OSError as error:  # a broken link: `open` reports it as unreadable
            return str(error.errno)
        return f"{status.st_size} {status.st_mtime_ns}"


class FolderDataModule(PhotoDataModule):
    """All pictures in a folder and its sub-folders, with fixed splits.

    Sub-folders `train` and `val` are the splits if both exist. Otherwise a hash of a picture's name relative to the
    folder decides, the same on every machine, also if pictures are added. `test` is the sub-folder of that name.

    Args:
        root: the folder.
        val_share: share of the pictures that is held out if there is no `val`, 0..1.
        loading: see `PhotoDataModule`.
    """

    def __init__(self, root: str, val_share: float = 0.1, **loading: Any) -> None:
        super().__init__(**loading)
        self.root = Path(root).expanduser()
        self.val_share = checked_share(val_share)

    def list_photos(self, split: Split) -> Photos | None:
        indices = self._splits.indices(split)
        return None if indices is None else SelectedPhotos(self._listed, indices)

    def own_test_split(self) -> Split | None:
        return self._splits.own_test

    @cached_property
    def _splits(self) -> Splits:
        return Splits(self._listed.names, self.val_share)

    @cached_property
    def _listed(self) -> FolderPhotos:
        check_folder(self.root, "data.root")
        return FolderPhotos(self.root, walk_pictures(self.root))

    def __str__(self) -> str:
        return f"data.root={self.root}"
