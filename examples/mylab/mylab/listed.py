"""A data source in forty lines: the photos that a text file names."""

from pathlib import Path
from typing import Any

from PIL import Image

from colorization.data.datamodule import PhotoDataModule
from colorization.data.photos import Photos
from colorization.data.splits import Split
from colorization.errors import DataError
from colorization.imagefiles import open_picture


class ListedPhotos(Photos):
    """Files by their paths."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return str(self.paths[index])

    def open(self, index: int) -> Image.Image:
        return open_picture(self.paths[index])

    def stamp(self, index: int) -> str:
        try:
            status = self.paths[index].stat()
        except OSError as error:  # `open` reports it as unreadable
            return str(error.errno)
        return f"{status.st_size} {status.st_mtime_ns}"


class ListedDataModule(PhotoDataModule):
    """The photos that a text file names, one path a line; every tenth is held out.

    Args:
        file: the text file.
        loading: see `PhotoDataModule`.
    """

    def __init__(self, file: str, **loading: Any) -> None:
        super().__init__(**loading)
        self.file = Path(file)

    def list_photos(self, split: Split) -> Photos | None:
        if not self.file.is_file():
            raise DataError(f"data.file={self.file} does not exist: give a text file with one path a line")
        paths = [Path(line) for line in self.file.read_text(encoding="utf-8").splitlines() if line]
        parts = {
            "all": paths,
            "val": paths[::10],
            "train": [path for index, path in enumerate(paths) if index % 10],
        }
        return ListedPhotos(parts[split]) if split in parts else None  # there is no test split
