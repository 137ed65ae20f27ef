"""A list of photos with random access, and the dataset that turns them into uint8 RGB tensors."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler
from torchvision.transforms import v2

from colorization.color import is_colorless
from colorization.data.degrade import CLEAN_SHARE, degrade
from colorization.data.protocols import Protocol
from colorization.data.tars.shuffle import Blocks
from colorization.errors import PictureError
from colorization.imagefiles import is_gray_mode, to_rgb

# A picture's colour is measured on a small copy, which averages out grain and compression noise.
_THUMBNAIL = (48, 48)


class Skipped(NamedTuple):
    """A skipped photo."""

    name: str
    reason: str
    unreadable: bool


class Draw(NamedTuple):
    """A photo's index, and the seed of its random crop in this epoch."""

    photo: int
    seed: int


class ColorlessError(PictureError):
    """A readable picture without colour to learn from."""


class Photos(ABC):
    """Base class of lists of photos. They have to be cheap to copy to loader processes."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """The photo's name in reports."""

    @abstractmethod
    def open(self, index: int) -> Image.Image:
        """The decoded photo, in any mode.

        Raises:
            PictureError: it can't be read.
        """

    def path(self, index: int) -> Path | None:
        """The photo's file; None if it is not a file of its own."""
        return None

    @abstractmethod
    def stamp(self, index: int) -> str:
        """A version of the photo's contents, such as size and date, without opening it."""

    def blocks(self) -> Blocks | None:
        """Shards and shuffle buffer; None if photos may be shuffled perfectly."""
        return None

    def census(self) -> dict[str, Any]:
        """What tells whether photos were added, removed or replaced: their `count`, and SHA-256 over their `names` and
        over names and `stamps`, hexadecimal. Takes as long as `fingerprint`.
        """
        names = hashlib.sha256()
        for index in range(len(self)):
            names.update(self.name(index).encode("utf-8", "surrogateescape") + b"\0")
        return {"count": len(self), "names": names.hexdigest(), "stamps": self.fingerprint()}

    def fingerprint(self) -> str:
        """SHA-256 over names and stamps, hexadecimal: it identifies the photos' contents. Takes as long as reading
        every file's size and date.
        """
        digest = hashlib.sha256()
        for index in range(len(self)):
            for part in (self.name(index), self.stamp(index)):
                digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()

    def order(self, seed: int, world_size: int, rank: int) -> np.ndarray:
        """The indices of one rank's training photos, in order.

        Args:
            seed: the same for all ranks, another one for each epoch.
            world_size: number of processes.
            rank: this process, from 0.

        Returns:
            int64, `len // world_size` indices, disjoint between ranks; with fewer photos than ranks, one index.
        """
        if (blocks := self.blocks()) is not None:
            return blocks.order(seed, world_size, rank)
        order = np.random.default_rng(seed).permutation(len(self))
        if len(order) < world_size:
            order = np.resize(order, world_size)
        return order[rank : len(order) // world_size * world_size : world_size]

    def visit(self, order: np.ndarray) -> Iterator[int]:
        """Iterates over an order. Shards of the next photos are prefetched meanwhile."""
        return map(int, order)


class JoinedPhotos(Photos):
    """Several lists of photos, concatenated."""

    def __init__(self, parts: Sequence[Photos]) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def _find(self, index: int) -> tuple[Photos, int]:
        number = int(np.searchsorted(self.ends, index, side="right"))
        part = self.parts[number]
        return part, index - int(self.ends[number]) + len(part)

    def name(self, index: int) -> str:
        part, index = self._find(index)
        return part.name(index)

    def open(self, index: int) -> Image.Image:
        part, index = self._find(index)
        return part.open(index)

    def path(self, index: int) -> Path | None:
        part, index = self._find(index)
        return part.path(index)

    def stamp(self, index: int) -> str:
        part, index = self._find(index)
        return part.stamp(index)


class SelectedPhotos(Photos):
    """A subset of a list of photos.

    Args:
        photos: the list.
        indices: their indices, in order.
    """

    def __init__(self, photos: Photos, indices: Sequence[int] | np.ndarray) -> None:
        self.photos = photos
        self.indices = np.array(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        return self.photos.name(int(self.indices[index]))

    def open(self, index: int) -> Image.Image:
        return self.photos.open(int(self.indices[index]))

    def path(self, index: int) -> Path | None:
        return self.photos.path(int(self.indices[index]))

    def stamp(self, index: int) -> str:
        return self.photos.stamp(int(self.indices[index]))

    def visit(self, order: np.ndarray) -> Iterator[int]:
        for index, _ in zip(order, self.photos.visit(self.indices[order]), strict=True):
            yield int(index)

    def blocks(self) -> Blocks | None:
        blocks = self.photos.blocks()
        return None if blocks is None else Blocks(blocks.shards[self.indices], blocks.buffer)


def open_colored(photos: Photos, index: int) -> Image.Image:
    """A photo as upright sRGB.

    Raises:
        ColorlessError: it has no colour.
        PictureError: it can't be read.
    """
    image = photos.open(index)
    if is_gray_mode(image):
        raise ColorlessError("is gray")
    rgb = converted(image)
    if is_colorless(small_copy(rgb)):
        raise ColorlessError("has no colour")
    return rgb


def open_upright(photos: Photos, index: int) -> Image.Image:
    """A photo as upright sRGB, gray or not.

    Raises:
        PictureError: it can't be read.
    """
    return converted(photos.open(index))


def converted(image: Image.Image) -> Image.Image:
    """A decoded photo as upright sRGB.

    Raises:
        PictureError: it can't be converted.
    """
    try:
        return to_rgb(image)
    except Exception as error:  # Pillow raises any exception on odd contents
        raise PictureError(f"can't be converted to RGB: {error}") from error


def small_copy(rgb: Image.Image) -> Tensor:
    """The copy on which a photo's colour is measured, uint8 `(3, 48, 48)`."""
    return to_tensor(rgb.resize(_THUMBNAIL, Image.Resampling.BOX))


def as_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as uint8 `(3, H, W)`, in Pillow's order of bytes."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as uint8 `(3, H, W)`, contiguous."""
    return as_tensor(image).contiguous()


# Index of padding: it gives all ranks the same number of items.
NO_PHOTO = -1


class PhotoDataset(Dataset[dict[str, Any]]):
    """Photos cropped to one size.

    An item is `rgb`, uint8 `(3, H, W)`, or None; `name` and `index` of the photo; and `skipped`, the photos skipped
    before it. The item `NO_PHOTO` is empty. If photos are degraded, `seen` is the gray copy, uint8 `(1, H, W)`.

    Args:
        photos: the photos.
        size: side of the square crop, px.
        augment: True (training) crops at random, and replaces an unusable photo by another one; False (scoring) crops
            by `protocol`, and leaves out unusable photos.
        crop_scale: range of a random crop's area, as a share of the photo's.
        protocol: None crops the centre square of the resized photo.
        degrade: degradation of the gray copies, a key of `colorization.data.degrade.STRENGTHS`; None for none. Half of
            the photos stay clean in training, none in scoring.
        keep_colorless: photos without colour count, too.
    """

    def __init__(
        self,
        photos: Photos,
        size: int,
        augment: bool,
        crop_scale: tuple[float, float] = (1.0, 1.0),
        protocol: Protocol | None = None,
        degrade: str | None = None,
        keep_colorless: bool = False,
    ) -> None:
        self.photos = photos
        self.augment = augment
        self.degrade = degrade
        self._open = open_upright if keep_colorless else open_colored
        self.transform: Callable[[Image.Image], Tensor]
        if augment:
            random_crop = v2.RandomResizedCrop(size, scale=crop_scale, antialias=True)
            # Of a tensor's bytes: PyTorch resizes them with Pillow's filter, three times as fast.
            self.transform = v2.Compose([as_tensor, random_crop, v2.RandomHorizontalFlip(), Tensor.contiguous])
        else:
            self.transform = v2.Compose([protocol or Protocol("fit_middle", size), to_tensor])

    def __len__(self) -> int:
        return len(self.photos)

    def _candidates(self, index: int) -> Iterator[int]:
        if index == NO_PHOTO:
            return
        yield index
        if not self.augment:
            return
        if (blocks := self.photos.blocks()) is not None:  # first from the same shard: others may have to be fetched
            (beside,) = np.nonzero(blocks.shards == blocks.shards[index])
            yield from map(int, beside[torch.randperm(len(beside)).numpy()])
        yield from map(int, torch.randperm(len(self)).numpy())

    def __getitem__(self, number: int | Draw) -> dict[str, Any]:
        """The photo of an index; a `Draw` holds the seed of its random crop, too."""
        if isinstance(number, int):
            return self._load(number, seed=number)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(number.seed)
            return self._load(number.photo, number.seed)

    def _load(self, index: int, seed: int) -> dict[str, Any]:
        skipped: list[Skipped] = []
        for candidate in self._candidates(index):
            name = self.photos.name(candidate)
            try:
                image = self._open(self.photos, candidate)
                cut = self.transform(image)
                item = {"rgb": cut, "name": name, "index": candidate, "skipped": skipped}
                item |= self._beside(candidate, image, cut)
                return item if self.degrade is None else item | {"seen": self._seen(cut, self.degrade, seed)}
            except PictureError as error:
                skipped.append(Skipped(name, str(error), not isinstance(error, ColorlessError)))
        return {"rgb": None, "name": "", "index": NO_PHOTO, "skipped": skipped}

    def _beside(self, index: int, photo: Image.Image, cut: Tensor) -> dict[str, Any]:
        """What an item holds besides the photo."""
        return {}

    def _seen(self, cut: Tensor, strength: str, seed: int) -> Tensor:
        pixels = cut.permute(1, 2, 0).contiguous().numpy()
        gray = degrade(pixels, seed, strength, CLEAN_SHARE if self.augment else 0)
        return torch.from_numpy(np.array(gray)).unsqueeze(0)


class EachOnceSampler(DistributedSampler[int]):
    """Shards photos over ranks so that each is seen exactly once.

    PyTorch's sampler repeats some photos to give all ranks the same number; this one pads with `NO_PHOTO`. The numbers
    have to be equal, because the ranks wait for each other at every batch.
    """

    def __init__(self, dataset: PhotoDataset, num_replicas: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)

    def __iter__(self) -> Iterator[int]:
        photos = len(self.dataset)  # type: ignore[arg-type]
        indices = [*range(photos), *[NO_PHOTO] * (self.total_size - photos)]
        return iter(indices[self.rank :: self.num_replicas])


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Items to a batch: `rgb` uint8 `(B, 3, H, W)`; lists `name`, `index` and `skipped`.
    B may be less than the batch size, also 0. Further tensors are stacked.
    """
    kept = [item for item in items if item["rgb"] is not None]
    further = kept[0].keys() - {"rgb", "name", "index", "skipped"} if kept else ()
    return {
        **{key: torch.stack([item[key] for item in kept]) for key in further},
        "rgb": torch.stack([item["rgb"] for item in kept]) if kept else torch.empty(0, 3, 1, 1, dtype=torch.uint8),
        "name": [item["name"] for item in kept],
        "index": [item["index"] for item in kept],
        "skipped": [skip for item in items for skip in item["skipped"]],
    }
