"""Lists of photos with random access."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from colorization.data.tars.shuffle import Blocks
from colorization.imagefiles import Shrink, colors_of
from colorization.imagefiles.picture import Pixels


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

    def read_colors(self, index: int, shrink: Shrink | None = None) -> Pixels | None:
        """The photo as `colorization.imagefiles.read_colors` returns it; here, what `open` decodes, at its own size.

        Raises:
            PictureError: it can't be read or converted.
        """
        return colors_of(self.open(index))

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

    def read_colors(self, index: int, shrink: Shrink | None = None) -> Pixels | None:
        part, index = self._find(index)
        return part.read_colors(index, shrink)

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

    def read_colors(self, index: int, shrink: Shrink | None = None) -> Pixels | None:
        return self.photos.read_colors(int(self.indices[index]), shrink)

    def stamp(self, index: int) -> str:
        return self.photos.stamp(int(self.indices[index]))

    def visit(self, order: np.ndarray) -> Iterator[int]:
        for index, _ in zip(order, self.photos.visit(self.indices[order]), strict=True):
            yield int(index)

    def blocks(self) -> Blocks | None:
        blocks = self.photos.blocks()
        return None if blocks is None else Blocks(blocks.shards[self.indices], blocks.buffer)
