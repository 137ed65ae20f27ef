"""A list of photos that can be opened by number, and the data set that turns it into uint8 RGB tensors."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler
from torchvision.transforms import v2

from colorization.color import is_colorless, to_float
from colorization.data.degrade import CLEAN_SHARE, degrade
from colorization.data.protocols import Protocol
from colorization.data.tars.shuffle import Blocks
from colorization.errors import PictureError
from colorization.imagefiles import is_gray_mode, to_rgb

# A picture's colour is judged on a small copy, where grain and compression noise have averaged out.
_THUMBNAIL = (48, 48)


class Skipped(NamedTuple):
    """A picture that was passed over."""

    name: str
    reason: str
    unreadable: bool


class Draw(NamedTuple):
    """A photo's number, and the seed of its random cut in this epoch."""

    photo: int
    seed: int


class ColorlessError(PictureError):
    """A picture that can be read, but holds no colour to learn from."""


class Photos(ABC):
    """Photos by number. Has to be cheap to copy to loader processes."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """The name by which reports call the photo."""

    @abstractmethod
    def open(self, index: int) -> Image.Image:
        """The decoded photo, in any mode.

        Raises:
            PictureError: it can't be read.
        """

    @abstractmethod
    def stamp(self, index: int) -> str:
        """What tells, without opening the photo, whether its contents have changed."""

    def blocks(self) -> Blocks | None:
        """How far the photos may be shuffled; None if any order is as good as another."""
        return None

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal digits over names and stamps: what was measured on these photos holds as long as it
        stays the same. Takes as long as asking for every file's size and date does.
        """
        digest = hashlib.sha256()
        for index in range(len(self)):
            for part in (self.name(index), self.stamp(index)):
                digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()

    def order(self, seed: int, shares: int, share: int) -> np.ndarray:
        """The numbers of the photos that one of several processes learns from, in this order.

        Args:
            seed: the same for all processes, another one for each epoch.
            shares: how many processes there are.
            share: which one, from 0.

        Returns:
            int64, `len // shares` numbers, none of which another share has; with fewer photos than shares, one number.
        """
        if (blocks := self.blocks()) is not None:
            return blocks.order(seed, shares, share)
        order = np.random.default_rng(seed).permutation(len(self))
        if len(order) < shares:
            order = np.resize(order, shares)
        return order[share : len(order) // shares * shares : shares]

    def visit(self, order: np.ndarray) -> Iterator[int]:
        """The numbers of an order, one by one. What has to be fetched for those to come is fetched meanwhile."""
        return map(int, order)


class JoinedPhotos(Photos):
    """Several lists of photos, one behind the other."""

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

    def stamp(self, index: int) -> str:
        part, index = self._find(index)
        return part.stamp(index)


class SelectedPhotos(Photos):
    """Some of a list of photos.

    Args:
        photos: the list.
        indices: which ones, in the order that they are to have.
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
        ColorlessError: it holds no colour.
        PictureError: it can't be read.
    """
    image = photos.open(index)
    if is_gray_mode(image):
        raise ColorlessError("is gray")
    rgb = converted(image)
    if is_colorless(small_copy(rgb)):
        raise ColorlessError("holds no colour")
    return rgb


def converted(image: Image.Image) -> Image.Image:
    """A decoded photo as upright sRGB.

    Raises:
        PictureError: its contents are too odd.
    """
    try:
        return to_rgb(image)
    except Exception as error:  # whatever Pillow raises about odd contents
        raise PictureError(f"can't be converted to RGB: {error}") from error


def small_copy(rgb: Image.Image) -> Tensor:
    """The copy that a photo's colour is judged on, `(3, 48, 48)` in 0..1."""
    return to_float(to_tensor(rgb.resize(_THUMBNAIL, Image.Resampling.BOX)))


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as uint8 `(3, H, W)`."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


# The index of a photo that is not there, by which processes that share photos out get equally many.
NO_PHOTO = -1


class PhotoDataset(Dataset[dict[str, Any]]):
    """Photos cut to pictures of one size.

    An item is `rgb`, uint8 `(3, H, W)`, or None; `name` and `index` of the photo; and `skipped`, what was passed over
    on the way. The item `NO_PHOTO` is empty. Where photos are degraded, `seen` is the gray copy, uint8 `(1, H, W)`.

    Args:
        photos: where they come from.
        size: the side of a square.
        augment: True cuts at random and puts another photo in the place of one that can't be used (training); False
            cuts as `protocol` says, and leaves out what can't be used (scoring).
        crop_scale: the least and the largest share of a photo's area that a random cut takes.
        protocol: None cuts the middle square of the resized photo.
        degrade: how the gray copies are degraded, a key of `colorization.data.degrade.STRENGTHS`; None makes none. In
            training half of them stay clean, in scoring none.
    """

    def __init__(
        self,
        photos: Photos,
        size: int,
        augment: bool,
        crop_scale: tuple[float, float] = (1.0, 1.0),
        protocol: Protocol | None = None,
        degrade: Literal["light", "old"] | None = None,
    ) -> None:
        self.photos = photos
        self.augment = augment
        self.degrade = degrade
        self.transform: Callable[[Image.Image], Image.Image]
        if augment:
            random_cut = v2.RandomResizedCrop(size, scale=crop_scale, antialias=True)
            self.transform = v2.Compose([random_cut, v2.RandomHorizontalFlip()])
        else:
            self.transform = protocol or Protocol("fit_middle", size)

    def __len__(self) -> int:
        return len(self.photos)

    def _candidates(self, index: int) -> Iterator[int]:
        if index == NO_PHOTO:
            return
        yield index
        if not self.augment:
            return
        if (blocks := self.photos.blocks()) is not None:  # of another shard, they may have to be fetched
            (beside,) = np.nonzero(blocks.shards == blocks.shards[index])
            yield from map(int, beside[torch.randperm(len(beside)).numpy()])
        yield from map(int, torch.randperm(len(self)).numpy())

    def __getitem__(self, number: int | Draw) -> dict[str, Any]:
        """The photo of this number; cut at random as the seed of a `Draw` says, if it is one."""
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
                image = open_colored(self.photos, candidate)
                cut = self.transform(image)
                item = {"rgb": to_tensor(cut), "name": name, "index": candidate, "skipped": skipped}
                return item if self.degrade is None else item | {"seen": self._seen(cut, self.degrade, seed)}
            except PictureError as error:
                skipped.append(Skipped(name, str(error), not isinstance(error, ColorlessError)))
        return {"rgb": None, "name": "", "index": NO_PHOTO, "skipped": skipped}

    def _seen(self, cut: Image.Image, strength: Literal["light", "old"], seed: int) -> Tensor:
        gray = degrade(np.asarray(cut), seed, strength, CLEAN_SHARE if self.augment else 0)
        return torch.from_numpy(np.array(gray)).unsqueeze(0)


class EachOnceSampler(DistributedSampler[int]):
    """Shares photos out over processes so that each is seen exactly once.

    PyTorch's own sampler repeats some photos to make the shares equal; this one fills up with `NO_PHOTO`. The shares
    have to be equal, because the processes wait for each other at every batch.
    """

    def __init__(self, dataset: PhotoDataset, num_replicas: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)

    def __iter__(self) -> Iterator[int]:
        photos = len(self.dataset)  # type: ignore[arg-type]
        indices = [*range(photos), *[NO_PHOTO] * (self.total_size - photos)]
        return iter(indices[self.rank :: self.num_replicas])


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Items to a batch: `rgb` uint8 `(B, 3, H, W)`, `name`, `index` and `skipped`, lists; `seen`, if the items have it.
    B may fall short, or be 0.
    """
    kept = [item for item in items if item["rgb"] is not None]
    seen = {"seen": torch.stack([item["seen"] for item in kept])} if kept and "seen" in kept[0] else {}
    return {
        **seen,
        "rgb": torch.stack([item["rgb"] for item in kept]) if kept else torch.empty(0, 3, 1, 1, dtype=torch.uint8),
        "name": [item["name"] for item in kept],
        "index": [item["index"] for item in kept],
        "skipped": [skip for item in items for skip in item["skipped"]],
    }
