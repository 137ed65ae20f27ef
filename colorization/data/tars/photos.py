"""WebDataset shards: tar files of photos, on this machine or in a store that fsspec supports."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from colorization.data.datamodule import PhotoDataModule
from colorization.data.photos import Photos, SelectedPhotos
from colorization.data.splits import Split, Splits, checked_share
from colorization.data.tars.cache import FetchingAhead, RemoteShard, ShardCache
from colorization.data.tars.index import ShardIndex, photo_hash
from colorization.data.tars.listing import Shard, list_shards
from colorization.data.tars.shuffle import Blocks
from colorization.errors import ConfigError, DataError, PictureError
from colorization.imagefiles import Shrink, open_picture, read_colors
from colorization.imagefiles.picture import Pixels
from colorization.runtime.files import open_regular

# Default shuffle buffer of fetched shards, in photos.
_FETCHED_BUFFER = 5000
# Prefixes of file names that assign shards to a split.
_SPLIT = re.compile(r"(train|val|test)(?:(?<=val)id(?:ation)?)?(?![A-Za-z])")


class ShardPhotos(Photos):
    """Photos in tar files, with random access.

    Args:
        shards: the tars and their indices.
        cache: for shards that are not on this machine.
        buffer: size of the shuffle buffer, in photos; None shuffles all photos.
    """

    def __init__(self, shards: Sequence[Shard], cache: ShardCache, buffer: int | None = None) -> None:
        self.places = [shard.place for shard in shards]
        self.shard_names = [shard.name for shard in shards]
        self.ends = np.cumsum([len(shard.index) for shard in shards], dtype=np.int64)
        self.index = ShardIndex.joined([shard.index for shard in shards])
        self.cache = cache
        self.buffer = buffer
        self._fetched_again: set[str] = set()
        dates = (place.stat().st_mtime_ns if isinstance(place, Path) else place.version for place in self.places)
        self.versions = [str(date) for date in dates]

    def __len__(self) -> int:
        return len(self.index)

    def _shard(self, index: int) -> int:
        return int(np.searchsorted(self.ends, index, side="right"))

    def name(self, index: int) -> str:
        return f"{self.shard_names[self._shard(index)]}/{self.index.names[index]}"

    def open(self, index: int) -> Image.Image:
        return open_picture(io.BytesIO(self._fetched(index)))

    def read_colors(self, index: int, shrink: Shrink | None = None) -> Pixels | None:
        return read_colors(io.BytesIO(self._fetched(index)), shrink)

    def _fetched(self, index: int) -> bytes:
        """The bytes of a photo's file. A shard whose cached copy seems corrupt is fetched again, once.

        Raises:
            PictureError: as `_contents`.
        """
        try:
            return self._contents(index)
        except PictureError:
            shard = self.places[self._shard(index)]
            if not isinstance(shard, RemoteShard) or shard.key in self._fetched_again:
                raise
            self._fetched_again.add(shard.key)
            self.cache.drop(shard)
            return self._contents(index)

    def _contents(self, index: int) -> bytes:
        """The bytes of a photo's file.

        Raises:
            PictureError: they can't be read, or their hash differs.
            DataError: the shard can't be fetched.
        """
        size = int(self.index.sizes[index])
        try:
            with self._opened(self.places[self._shard(index)]) as file:
                file.seek(int(self.index.offsets[index]))
                contents = file.read(size)
        except OSError as error:
            raise PictureError(f"can't be read from the tar file: {error}") from error
        promised = 0 if self.index.hashes is None else int(self.index.hashes[index])
        if len(contents) < size:
            raise PictureError("is truncated: the tar file ends before it does")
        if promised not in (0, photo_hash(contents)):
            raise PictureError("is corrupt: its hash differs from the one in the manifest")
        return contents

    @contextmanager
    def _opened(self, place: Path | RemoteShard) -> Iterator[BinaryIO]:
        with open_regular(place) if isinstance(place, Path) else self.cache.opened(place) as file:
            yield file

    def stamp(self, index: int) -> str:
        if self.index.hashes is not None and self.index.hashes[index]:
            return str(self.index.hashes[index])
        return f"{self.index.offsets[index]} {self.index.sizes[index]} {self.versions[self._shard(index)]}"

    def visit(self, order: np.ndarray) -> Iterator[int]:
        if self.buffer is None:
            yield from super().visit(order)
            return
        numbers = np.searchsorted(self.ends, order, side="right")
        # First position of each shard, the last one on top.
        coming = sorted(zip(*np.unique(numbers, return_index=True)[::-1], strict=True), reverse=True)
        with FetchingAhead(self.cache) as ahead:
            for ahead.place, index in enumerate(order):
                while coming and coming[-1][0] <= ahead.place + self.buffer:
                    first, number = coming.pop()
                    if isinstance(shard := self.places[number], RemoteShard):
                        ahead.want(shard, first)
                yield int(index)

    def blocks(self) -> Blocks | None:
        if self.buffer is None:
            return None
        shards = np.repeat(np.arange(len(self.ends), dtype=np.int32), np.diff(self.ends, prepend=0))
        return Blocks(shards, self.buffer)


class _SplitNames(Sequence[str]):
    """The names that determine the split: a shard called val-003.tar or validation.tar counts as a folder `val`. If
    there is such a shard, all others that are not called `test` count as `train`.
    """

    def __init__(self, photos: ShardPhotos) -> None:
        self.photos = photos
        files = [name.rpartition("/")[2] for name in photos.shard_names]
        matches = [_SPLIT.match(file) for file in files]
        folders = [match[1] if match else "" for match in matches]
        rest = "train/" if "val" in folders else ""
        self.tops = [
            f"{folder}/{file}" if folder else f"{rest}{file}" for folder, file in zip(folders, files, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: Any) -> Any:
        return f"{self.tops[self.photos._shard(index)]}/{self.photos.index.names[index]}"


class ShardsDataModule(PhotoDataModule):
    """WebDataset shards with random access, so that lengths are known and no photo comes twice.

    Shards whose file name begins with `val` (or `valid`, `validation`) or `test` are these splits, and all others are
    for training. If none is called `val`, or all are, a hash of the shard's and the photo's name decides what is held
    out.

    Shards on this machine are read in place, and shuffled perfectly. Those of a store are fetched whole, and shuffled
    with a buffer, see `colorization.data.tars.shuffle`. `manifest.json` beside a shard is checked: the size of a shard
    before a run begins, the hash of a fetched shard, and the hash of a photo when it is read.

    Args:
        root: a folder of tars, a brace pattern such as `photos/{train-000..005,val}.tar`, a URL of either, such as
            `https://...` or `s3://...`, or a list of those.
        val_share: share of the photos that is held out if no shard is called `val`, or all are, 0..1.
        buffer: size of the shuffle buffer, in photos; None: all photos, or 5000 if shards are fetched.
        cache: the folder of the LRU cache of fetched shards.
        cache_gb: its maximum size, in 10^9 bytes.
        loading: see `PhotoDataModule`.
    """

    def __init__(
        self,
        root: str | list[str],
        val_share: float = 0.1,
        buffer: int | None = None,
        cache: str = "outputs/shards",
        cache_gb: float = 20,
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        if buffer is not None and buffer < 1:
            raise ConfigError(f"data.buffer={buffer} is too small: give 1 or more, or null")
        if not cache_gb > 0:
            raise ConfigError(f"data.cache_gb={cache_gb:g} is too small: give more than 0")
        self.root = [root] if isinstance(root, str) else root
        self.val_share = checked_share(val_share)
        self.buffer = buffer
        self.cache = ShardCache(Path(cache).expanduser(), round(cache_gb * 1e9))

    def list_photos(self, split: Split) -> Photos | None:
        indices = self._splits.indices(split)
        return None if indices is None else SelectedPhotos(self._listed, indices)

    def own_test_split(self) -> Split | None:
        return self._splits.own_test

    @cached_property
    def _splits(self) -> Splits:
        return Splits(_SplitNames(self._listed), self.val_share)

    @cached_property
    def _listed(self) -> ShardPhotos:
        shards = list_shards(self.root, self.cache)
        is_fetched = any(isinstance(shard.place, RemoteShard) for shard in shards)
        photos = ShardPhotos(shards, self.cache, self.buffer or (_FETCHED_BUFFER if is_fetched else None))
        if len(photos) == 0:
            raise DataError(f"{self} holds no pictures: give tars with .jpg, .png or .webp files")
        return photos

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self._check_cache(1 if self.trainer is None else self.trainer.num_devices)

    def _check_cache(self, devices: int) -> None:
        """Checks that the cache holds the shards that are needed at the same time.

        Raises:
            ConfigError: it is too small.
        """
        blocks = self.photos_of("train").blocks()
        sizes = np.sort([place.size or 0 for place in self._listed.places if isinstance(place, RemoteShard)])[::-1]
        if blocks is None or len(sizes) == 0:
            return
        # The blocks of the loader processes and of the sampler, and the next one, which is prefetched.
        shards = blocks.most_at_once(3 * blocks.buffer) * devices
        needed = int(sizes[:shards].sum())
        if needed > self.cache.most_bytes:
            raise ConfigError(
                f"data.cache_gb={self.cache.most_bytes / 1e9:g} is too small: three buffers of "
                f"data.buffer={blocks.buffer} photos for each of {devices} devices need {len(sizes[:shards])} shards "
                f"with {needed / 1e9:.3g} GB: give at least that much, or a smaller data.buffer"
            )

    def __str__(self) -> str:
        return f"data.root={','.join(self.root)}"
