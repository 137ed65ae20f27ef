"""Benchmarks of `benchmarks.speed` about loading photos for training."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from torchvision.transforms import v2

from colorization.color import rgb_to_lab
from colorization.data.dataset import Draw, PhotoDataset
from colorization.data.folder import FolderPhotos
from colorization.data.sample import SampleDataModule
from colorization.data.tars.photos import ShardsDataModule
from colorization.data.tars.preparing import prepare
from colorization.data.tars.writing import Plan, Recipe

try:
    import cv2
except ImportError:
    cv2 = None  # type: ignore[assignment]

Runs = dict[str, Callable[[], object]]
_CROP, _SCALE = 224, (0.35, 1.0)


@contextmanager
def loader() -> Iterator[Runs]:
    """JPEGs of 474 x 392 px in a folder to random crops of 224 px in Lab, 24 photos."""
    with crops_of_jpegs((474, 392), 24) as runs:
        yield runs


@contextmanager
def large_photos() -> Iterator[Runs]:
    """The same of JPEGs of 2 megapixels, 8 photos."""
    with crops_of_jpegs((1632, 1224), 8) as runs:
        yield runs


@contextmanager
def crops_of_jpegs(shape: tuple[int, int], count: int) -> Iterator[Runs]:
    """JPEGs of a size (W, H) to random crops in Lab. OpenCV cuts where it likes, three quarters of each side."""
    with tempfile.TemporaryDirectory() as name:
        folder = save_photos(Path(name), shape, count)
        paths = [folder.root / photo for photo in folder.names]
        dataset = PhotoDataset(folder, _CROP, True, _SCALE)
        crop = v2.Compose([v2.RandomResizedCrop(_CROP, scale=_SCALE, antialias=True), v2.RandomHorizontalFlip()])
        width, height = shape

        def ours() -> None:
            rgb_to_lab(torch.stack([dataset[Draw(index, index)]["rgb"] for index in range(len(paths))]))

        def plain() -> None:
            for path in paths:
                skimage.color.rgb2lab(np.asarray(crop(Image.open(path).convert("RGB"))))

        def with_opencv() -> None:
            for path in paths:
                rgb = cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB)
                cut = rgb[height // 8 : height * 7 // 8, width // 8 : width * 7 // 8]
                cut = cv2.resize(cut, (_CROP, _CROP))
                cv2.cvtColor(cut.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)

        def decoding_alone() -> None:
            for index, path in enumerate(paths):
                torch.manual_seed(index)  # as for ours
                photo, drawn = Image.open(path), dataset.random_crop.begin()
                factor = drawn.shrink(photo.size)
                photo.draft(None, (width // max(factor, 1), height // max(factor, 1)))
                photo.load()

        runs: Runs = {"ours": ours, "Pillow, torchvision, scikit-image": plain, "decoding alone": decoding_alone}
        yield runs | ({} if cv2 is None else {"OpenCV": with_opencv})


@contextmanager
def shards() -> Iterator[Runs]:
    """Random crops, without Lab, of the shards that `colorize-prepare` makes, and of the photos they were made of."""
    with tempfile.TemporaryDirectory() as name:
        runs: Runs = {}
        for ours, theirs, shape in (
            ("ours", "a folder of 474 x 392 px", (474, 392)),
            ("shards of 2 megapixels", "a folder of 2 megapixels", (1632, 1224)),
        ):
            place = Path(name) / f"{shape[0]}"
            (place / "photos").mkdir(parents=True)
            folder = save_photos(place / "photos", shape, 24)
            prepare(Plan(folder, Recipe(size=256, quality=95, photos_per_shard=1000, val_share=0.1)), place / "out", 0)
            packed = ShardsDataModule(str(place / "out"), size=_CROP, batch_size=8).photos("all")
            assert packed is not None
            runs[ours] = crops(PhotoDataset(packed, _CROP, True, _SCALE))
            runs[theirs] = crops(PhotoDataset(folder, _CROP, True, _SCALE))
        yield runs


def crops(dataset: PhotoDataset) -> Callable[[], None]:
    """Loads each photo once."""

    def load() -> None:
        for index in range(len(dataset)):
            dataset[Draw(index, index)]

    return load


def save_photos(folder: Path, size: tuple[int, int], count: int) -> FolderPhotos:
    """Real photos as JPEGs of one size (W, H)."""
    for index, photo in enumerate(sample_photos(count, size)):
        photo.save(folder / f"{index}.jpg", quality=90)
    return FolderPhotos(folder, sorted(path.name for path in folder.iterdir()))


def sample_photos(count: int, size: tuple[int, int]) -> list[Image.Image]:
    """Real photos, those that scikit-image brings along, at one size."""
    photos = SampleDataModule(size=32, batch_size=1).list_photos("all")
    assert photos is not None
    return [photos.open(index % len(photos)).convert("RGB").resize(size) for index in range(count)]
