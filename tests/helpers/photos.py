"""Photos that the tests make."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from colorization.data.datamodule import PhotoDataModule
from colorization.data.photos import Photos


def make_photo(width: int = 48, height: int = 40, seed: int = 0) -> Image.Image:
    """A colourful picture: smooth random blobs."""
    generator = np.random.default_rng(seed)
    blobs = Image.fromarray(generator.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return blobs.resize((width, height), Image.Resampling.BICUBIC)


class MadePhotos(Photos):
    """Photos from seeds: the index is the seed and the name."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return str(index)

    def open(self, index: int) -> Image.Image:
        return make_photo(seed=index)

    def stamp(self, index: int) -> str:
        return ""


def make_folder(folder: Path, count: int = 6) -> Path:
    """A folder with `count` photos, some of them nested."""
    (folder / "nested" / "deeper").mkdir(parents=True)
    for index in range(count):
        place = (folder, folder / "nested", folder / "nested" / "deeper")[index % 3]
        make_photo(48 + index, 40, seed=index).save(place / f"photo {index}.png")
    return folder


def names(data: PhotoDataModule, split: Any) -> list[str]:
    photos = data.photos(split)
    assert photos is not None
    return [photos.name(index) for index in range(len(photos))]


def compressed(image: Image.Image, quality: int = 75) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
