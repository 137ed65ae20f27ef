"""An LRU cache on disk for shards of a store, shared by all processes of a machine."""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, NamedTuple, Self, TypeVar

from filelock import FileLock, Timeout

from colorization.data.tars import remote
from colorization.data.tars.index import file_sha256
from colorization.data.tars.remote import DamagedError
from colorization.errors import DataError
from colorization.runtime.files import atomic_file

_KEY_LENGTH = 32
# The folder may hold other files: only files with these names are counted and removed.
_SHARD = re.compile(rf"[0-9a-f]{{{_KEY_LENGTH}}}\.tar")
_PART = re.compile(rf"([0-9a-f]{{{_KEY_LENGTH}}})\.([0-9]+)\.part")

# How much room a shard of unknown size takes at a time.
_STEP = 64 * 2**20

_T = TypeVar("_T")


@dataclass(frozen=True)
class RemoteShard:
    """A shard in a store.

    Attributes:
        address: its URL.
        size: in bytes; None if unknown.
        version: of its contents: a SHA-256, an etag or a date.
        sha256: of its contents, if a manifest has it.
    """

    address: str
    size: int | None
    version: str
    sha256: str | None = None

    @property
    def key(self) -> str:
        """A file name for this version of the shard."""
        return hashlib.sha256(f"{self.address}\0{self.version}".encode()).hexdigest()[:_KEY_LENGTH]


class _Part(NamedTuple):
    """A shard that is being fetched, and its final size in bytes; if that is unknown, its size so far."""

    key: str
    size: int
    path: Path


class ShardCache:
    """A folder with copies of shards, with least recently used (LRU) eviction.

    Any number of processes may use it: one of them fetches a shard, atomically, and the others wait for it. Evicting a
    shard does not disturb a process that is reading it.

    Args:
        folder: created with the first shard.
        most_bytes: maximum total size of the shards.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    @contextmanager
    def opened(self, shard: RemoteShard) -> Iterator[BinaryIO]:
        """Opens a shard's file, fetching it if necessary.

        Raises:
            DataError: it is not available.
        """
        file = self._open(shard)
        while file is None:  # another process may evict it before it is open
            self.fetch(shard)
            file = self._open(shard)
        with file:
            yield file

    def _open(self, shard: RemoteShard) -> BinaryIO | None:
        path = self._path(shard)
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return None
        _note_use(path)
        return file

    def fetch(self, shard: RemoteShard) -> None:
        """Fetches a shard if it is not in the cache.

        Raises:
            DataError: it is not available.
        """
        path = self._path(shard)
        try:
            with self._lock(shard.key):
                if not path.exists():
                    self._fetch(shard, path)
        except OSError as error:
            raise DataError(
                f"data.cache={self.folder} can't be written ({error.strerror or error}): give another folder"
            ) from error

    def _fetch(self, shard: RemoteShard, path: Path) -> None:
        if shard.size is not None:
            self._check_fits(shard, shard.size)
        part = self._make_room(shard)
        reserved = 0

        def grow(size: int) -> None:
            """Reserves room for a shard of unknown size while it comes."""
            nonlocal reserved
            if shard.size is not None:
                if size > shard.size:
                    raise DamagedError(f"more than its {shard.size} bytes came")
                return
            self._check_fits(shard, size)
            if size > reserved:
                reserved = size + _STEP
                with self._lock("room"):
                    self._evict(reserved - part.stat().st_size)

        try:
            remote.fetch(shard.address, part, lambda file: _check(file, shard), grow)
            _note_use(part)
            part.replace(path)
        except FileNotFoundError as error:
            raise missing(shard.address) from error
        finally:
            part.unlink(missing_ok=True)

    def _check_fits(self, shard: RemoteShard, size: int) -> None:
        if size > self.most_bytes:
            raise DataError(
                f"{shard.address} has {'' if shard.size else 'more than '}{size / 1e9:.3g} GB, and "
                f"data.cache_gb={self.most_bytes / 1e9:g}: give data.cache_gb more than that"
            )

    def knows(self, shard: RemoteShard) -> bool:
        """Whether `kept` has a cached result for this shard."""
        return (self.folder / "known" / shard.key).exists()

    def drop(self, shard: RemoteShard) -> None:
        """Removes a corrupt shard, so that it is fetched again."""
        with suppress(OSError), self._lock(shard.key):
            self._path(shard).unlink(missing_ok=True)

    def kept(self, shard: RemoteShard, make: Callable[[BinaryIO, str], bytes], parse: Callable[[bytes, str], _T]) -> _T:
        """Computes something from a shard once, and caches it beside the shards.

        Args:
            shard: the shard.
            make: from the shard's file and URL to the bytes to cache.
            parse: from the bytes and their name in messages to the result; raises `DataError` if they are corrupt.

        Raises:
            DataError: the shard is not available, or `make` fails.
        """
        path = self.folder / "known" / shard.key
        with suppress(FileNotFoundError, DataError):
            return parse(path.read_bytes(), str(path))
        try:
            with self.opened(shard) as file:
                contents = make(file, shard.address)
        except DataError:
            self.drop(shard)
            raise
        with atomic_file(path) as temporary:
            temporary.write_bytes(contents)
        return parse(contents, str(path))

    def _path(self, shard: RemoteShard) -> Path:
        return self.folder / f"{shard.key}.tar"

    def _lock(self, name: str) -> FileLock:
        (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "locks" / name)

    def _make_room(self, shard: RemoteShard) -> Path:
        """Evicts shards until there is room for one more, and reserves it.

        Returns:
            A file whose name holds its final size, for other processes.
        """
        size = shard.size or 0
        with self._lock("room"):
            self._remove_stale(shard.key)
            self._evict(size)
            path = self.folder / f"{shard.key}.{size}.part"
            path.touch()
            return path

    def _evict(self, size: int) -> None:
        """Evicts shards, the least recently used first, until there is room for so many bytes more."""
        kept = sorted(((status.st_mtime_ns, status.st_size, path) for path, status in self._shards()), reverse=True)
        total = size + sum(bytes_ for _, bytes_, _ in kept) + sum(part.size for part in self._parts())
        while kept and total > self.most_bytes:
            _, bytes_, path = kept.pop()
            path.unlink(missing_ok=True)
            total -= bytes_

    def _shards(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            if _SHARD.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    yield path, path.stat()

    def _parts(self) -> Iterator[_Part]:
        for path in self.folder.iterdir():
            if match := _PART.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    yield _Part(match[1], max(int(match[2]), path.stat().st_size), path)

    def _remove_stale(self, own: str) -> None:
        """Removes leftovers of killed processes."""
        for part in self._parts():
            if part.key == own:
                part.path.unlink(missing_ok=True)
                continue
            with suppress(Timeout), self._lock(part.key).acquire(timeout=0):
                part.path.unlink(missing_ok=True)


class FetchingAhead:
    """A thread that prefetches shards into a cache.

    It ignores errors: the reader of the shard tries again, and reports them.

    Args:
        cache: the cache.

    Attributes:
        place: of the photo that is read next. A thread that was slow skips shards of which photos were read already:
            they may have been evicted since, and would evict others.
    """

    def __init__(self, cache: ShardCache) -> None:
        self.cache = cache
        self.place = 0
        self._wanted: SimpleQueue[tuple[int, RemoteShard] | None] = SimpleQueue()
        self._is_over = False

    def __enter__(self) -> Self:
        # A daemon: a stopped run need not wait for a download.
        threading.Thread(target=self._fetch_wanted, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._wanted.put(None)

    def want(self, shard: RemoteShard, place: int) -> None:
        """Queues a shard whose first photo has a place in the order of reading."""
        self._wanted.put((place, shard))

    def _fetch_wanted(self) -> None:
        while (wanted := self._wanted.get()) is not None and not self._is_over:
            place, shard = wanted
            if place >= self.place:
                with suppress(DataError):
                    self.cache.fetch(shard)


def missing(address: str) -> DataError:
    """The error for a shard that is not in its store."""
    return DataError(f"{address} does not exist, or can't be read: give data.root the URL of a .tar, or of a folder")


def _note_use(path: Path) -> None:
    now = time.time_ns()  # finer than the system's file times
    with suppress(OSError):  # another user's file in a shared folder is readable, but not writable
        os.utime(path, ns=(now, now))


def _check(file: Path, shard: RemoteShard) -> None:
    size = file.stat().st_size
    if shard.size is not None and size != shard.size:
        raise DamagedError(f"received {size} of {shard.size} bytes")
    if shard.sha256 is not None and file_sha256(file) != shard.sha256:
        raise DamagedError("its SHA-256 differs from the one in its manifest")
