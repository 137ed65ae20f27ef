"""The colour photos in scikit-image's wheel: a dataset without a download."""

import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import skimage
from PIL import Image

from colorization.data.datamodule import PhotoDataModule
from colorization.data.photos import Photos
from colorization.data.splits import Split
from colorization.errors import ConfigError
from colorization.imagefiles import open_picture, write_picture

# File names and authors, from the docstrings of skimage.data.
TRAIN = {
    "astronaut.png": "Eileen Collins, NASA, public domain",
    "coffee.png": "Rachel Michetti, CC0",
    "hubble_deep_field.jpg": "NASA, public domain",
    "ihc.png": "Center for Microscopy And Molecular Imaging (CMMI), no known copyright restrictions",
    "retina.jpg": "Häggström, Mikael (2014), CC0",
    "rocket.jpg": "SpaceX, public domain",
}
VAL = {"chelsea.png": "Stéfan van der Walt, CC0"}


_FOLDER = Path(skimage.__file__).parent / "data"


class SamplePhotos(Photos):
    """Photos in scikit-image's wheel.

    Args:
        names: their file names.
        repeats: how often each photo occurs.
    """

    def __init__(self, names: list[str], repeats: int = 1) -> None:
        self.names = names
        self.repeats = repeats

    def __len__(self) -> int:
        return len(self.names) * self.repeats

    def name(self, index: int) -> str:
        return self.names[index % len(self.names)]

    def open(self, index: int) -> Image.Image:
        return _decode(self.name(index)).copy()

    def path(self, index: int) -> Path | None:
        return _FOLDER / self.name(index)

    def stamp(self, index: int) -> str:
        return version("scikit-image")


@cache
def _decode(name: str) -> Image.Image:
    # Seven photos fit in memory, and decoding is the slowest step.
    return open_picture(_FOLDER / name)


class SampleDataModule(PhotoDataModule):
    """Six training photos and a cat for validation: far too few to learn what colour things have.

    Args:
        repeats: crops of each training photo per epoch.
        loading: see `PhotoDataModule`.
    """

    def __init__(self, repeats: int = 16, **loading: Any) -> None:
        super().__init__(**loading)
        if repeats < 1:
            raise ConfigError(f"data.repeats={repeats} is too small: give 1 or more")
        self.repeats = repeats

    def list_photos(self, split: Split) -> Photos | None:
        if split == "train":
            return SamplePhotos(list(TRAIN), self.repeats)
        if split == "test":
            return None
        return SamplePhotos(list(VAL) if split == "val" else [*TRAIN, *VAL])

    def __str__(self) -> str:
        return "data=sample"


def write_gray(folder: Path) -> None:
    """Writes black-and-white copies of all photos into a folder."""
    photos = SamplePhotos([*TRAIN, *VAL])
    for index in range(len(photos)):
        gray = photos.open(index).convert("L").convert("RGB")
        write_picture(gray, folder / Path(photos.name(index)).with_suffix(".png"))


if __name__ == "__main__":
    write_gray(Path(sys.argv[1]))
