"""WebDataset shards: tar files full of photos."""

import io
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from braceexpand import braceexpand
from PIL import Image

from colorization.data.datamodule import PhotoDataModule, Split
from colorization.data.folder import checked_share, own_test_split, split_names
from colorization.data.photos import JoinedPhotos, Photos, SelectedPhotos
from colorization.errors import DataError, PictureError
from colorization.imagefiles import is_picture, open_picture


class TarPhotos(Photos):
    """Photos inside a tar file, read in any order by way of an index that is made once by running over the headers.

    Args:
        path: the tar file, not compressed.

    Raises:
        DataError: it is missing or not a tar file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.date = path.stat().st_mtime_ns
            with tarfile.open(path, "r:") as tar:
                members = [member for member in tar if member.isfile() and is_picture(member.name)]
        except FileNotFoundError:
            raise DataError(f"data.root names {path}, which does not exist: give the path of a .tar") from None
        except (tarfile.TarError, OSError) as error:
            raise DataError(
                f"{path} can't be read as a plain tar file ({error}): make it anew, uncompressed"
            ) from error
        self.names = np.array([member.name.encode("utf-8", "surrogateescape") for member in members], dtype=np.bytes_)
        self.places = np.array([(member.offset_data, member.size) for member in members], dtype=np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return f"{self.path.name}/{bytes(self.names[index]).decode('utf-8', 'surrogateescape')}"

    def open(self, index: int) -> Image.Image:
        offset, size = (int(value) for value in self.places[index])
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return open_picture(io.BytesIO(file.read(size)))
        except OSError as error:
            raise PictureError(f"can't be read from the tar file: {error}") from error

    def stamp(self, index: int) -> str:
        offset, size = self.places[index]
        return f"{offset} {size} {self.date}"


class ShardsDataModule(PhotoDataModule):
    """Local WebDataset shards, read at random places, so that shuffling is perfect and lengths are known.

    Shards whose file name begins with `train`, `val` or `test` are the splits, if there are some of both first kinds;
    otherwise a hash of the shard's and the photo's name decides.

    Args:
        root: a folder of tars, a brace pattern such as `photos/{train-000..005,val}.tar`, or a list of either.
        val_share: the share of the photos that is held out where no shard is called `val`, 0..1.
        loading: see `PhotoDataModule`.
    """

    def __init__(self, root: str | list[str], val_share: float = 0.1, **loading: Any) -> None:
        super().__init__(**loading)
        self.root = [root] if isinstance(root, str) else root
        self.val_share = checked_share(val_share)
        self._shards: list[TarPhotos] = []
        self._names: list[str] = []

    def list_photos(self, split: Split) -> Photos | None:
        names = self._listed()
        chosen = split_names(names, split, self.val_share)
        if chosen is None:
            return None
        wanted = set(chosen)
        return SelectedPhotos(JoinedPhotos(self._shards), [i for i, name in enumerate(names) if name in wanted])

    def own_test_split(self) -> Split | None:
        return own_test_split(self._listed())

    def _listed(self) -> list[str]:
        """The names that the split goes by: a shard called val-003.tar counts as a folder `val`."""
        if not self._names:
            self._shards = [TarPhotos(path) for path in expand_shards(self.root)]
            self._names = [
                f"{_split_of(name)}{name}" for shard in self._shards for name in map(shard.name, range(len(shard)))
            ]
        if not self._names:
            raise DataError(f"{self} holds no pictures: give tars with .jpg, .png or .webp files in them")
        return self._names

    def __str__(self) -> str:
        return f"data.root={','.join(self.root)}"


def _split_of(name: str) -> str:
    match = re.match(r"(train|val|test)(?![A-Za-z])", name)
    return f"{match[1]}/" if match else ""


def expand_shards(patterns: Sequence[str]) -> list[Path]:
    """Folders, brace patterns and paths to the paths of tar files, in order.

    Raises:
        DataError: nothing is there, or a pattern's braces do not match.
    """
    paths: list[Path] = []
    for pattern in patterns:
        try:
            expanded = [Path(path).expanduser() for path in braceexpand(pattern)]
        except ValueError as error:
            raise DataError(
                f"data.root={pattern}: the braces do not match; write for instance a-{{000..005}}.tar"
            ) from error
        for path in expanded:
            found = sorted(path.glob("*.tar")) if path.is_dir() else [path]
            paths += found
            if not found:
                raise DataError(f"data.root={path} holds no .tar files: give a folder of WebDataset shards")
    return list(dict.fromkeys(paths))
