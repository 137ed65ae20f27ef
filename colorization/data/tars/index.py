"""The manifest of a folder of shards, and the index of the photos in them."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
import pydantic

from colorization.data.names import Names
from colorization.errors import DataError, first_line
from colorization.imagefiles import is_picture
from colorization.runtime.files import open_regular

MANIFEST = "manifest.json"
INDEX = "index.npz"
# A folder that exists while shards are written, see `colorization.data.tars.preparing`.
UNFINISHED = ".unfinished"

_Count = Annotated[int, pydantic.Field(ge=0, lt=2**62)]
_Digest = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]


class ShardEntry(pydantic.BaseModel):
    """A shard in a manifest: file name, number of photos, size in bytes and SHA-256."""

    # A manifest may come from a stranger: it may only name files beside itself.
    name: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*\.tar$")]
    photos: _Count
    bytes: _Count
    sha256: _Digest


class Manifest(pydantic.BaseModel):
    """The contents of `manifest.json`, written by `colorization.data.tars.preparing`.

    Attributes:
        format: identifies the file.
        made: the options of `colorize-prepare`.
        source: `photos`, number of source photos, and `sha256` over their names and sizes.
        photos: number of photos in the shards.
        left_out: number of source photos that were left out, listed in `left_out.csv`.
        index_sha256: SHA-256 of `index.npz`.
        shards: the shards, in the order of the index.
    """

    format: Literal["colorization shards 1"] = "colorization shards 1"
    made: dict[str, Any]
    source: dict[str, Any]
    photos: _Count
    left_out: _Count
    index_sha256: _Digest
    shards: list[ShardEntry]

    @classmethod
    def parse(cls, contents: bytes, where: str) -> "Manifest | None":
        """Parses a manifest.

        Args:
            contents: of the file.
            where: its name in messages.

        Returns:
            None if another program wrote it.

        Raises:
            DataError: it is corrupt, of another version, or names files elsewhere.
        """
        try:
            found = json.loads(contents)
            if not isinstance(found, dict) or not str(found.get("format")).startswith("colorization shards"):
                return None
            return cls.model_validate(found)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise DataError(
                f"{where} can't be used: {key}={str(first['input'])[:80]}: {first['msg']}; make the shards again with "
                "colorize-prepare"
            ) from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is corrupt ({first_line(error)}): copy it again, or remove it") from error

    def dump(self) -> bytes:
        """The contents of the file."""
        return json.dumps(self.model_dump(), indent=1, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True)
class ShardIndex:
    """The positions of photos in one or several tar files.

    Attributes:
        names: names in their tar.
        offsets: first byte in the tar, int64 `(N,)`.
        sizes: number of bytes, int64 `(N,)`.
        hashes: `photo_hash`, uint64 `(N,)`; None if unknown.
    """

    names: Names
    offsets: np.ndarray
    sizes: np.ndarray
    hashes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def part(self, start: int, stop: int) -> "ShardIndex":
        """The photos from `start` up to `stop`."""
        before, end = (int(self.names.ends[at - 1]) if at else 0 for at in (start, stop))
        names = Names.of_block(self.names.block[before:end], self.names.ends[start:stop] - before)
        hashes = None if self.hashes is None else self.hashes[start:stop]
        return ShardIndex(names, self.offsets[start:stop], self.sizes[start:stop], hashes)

    @staticmethod
    def joined(parts: Sequence["ShardIndex"]) -> "ShardIndex":
        """Concatenates indices. A hash of 0 is unknown."""
        starts = np.cumsum([0, *(len(part.names.block) for part in parts)])
        ends = [part.names.ends + start for part, start in zip(parts, starts, strict=False)]
        unknown = [np.zeros(len(part), np.uint64) if part.hashes is None else part.hashes for part in parts]
        return ShardIndex(
            Names.of_block(b"".join(part.names.block for part in parts), _joined(ends, np.int64)),
            _joined([part.offsets for part in parts], np.int64),
            _joined([part.sizes for part in parts], np.int64),
            _joined(unknown, np.uint64),
        )

    def dump(self) -> bytes:
        """The contents of a file that holds the index: NumPy's .npz, the same wherever and whenever it is made."""
        arrays: dict[str, Any] = {"names": np.frombuffer(self.names.block, np.uint8), "ends": self.names.ends}
        arrays |= {"offsets": self.offsets, "sizes": self.sizes}
        arrays |= {} if self.hashes is None else {"hashes": self.hashes}
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def parse(cls, contents: bytes, where: str) -> "ShardIndex":
        """Parses an index.

        Args:
            contents: of the file.
            where: its name in messages.

        Raises:
            DataError: it is corrupt.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(contents)) as archive:
                if any(column.compress_type != zipfile.ZIP_STORED for column in archive.infolist()):
                    raise ValueError("it is compressed")  # a decompression bomb
            with np.load(io.BytesIO(contents), allow_pickle=False) as arrays:
                names = Names.of_block(arrays["names"].astype(np.uint8).tobytes(), arrays["ends"])
                hashes = arrays["hashes"].astype(np.uint64) if "hashes" in arrays else None
                index = cls(names, arrays["offsets"].astype(np.int64), arrays["sizes"].astype(np.int64), hashes)
            columns = [column for column in (index.offsets, index.sizes, hashes) if column is not None]
            if any(column.shape != (len(names),) for column in columns):
                raise ValueError("columns of different lengths")
            return index
        except Exception as error:  # zipfile and NumPy raise any exception on a forged file
            raise DataError(f"{where} is corrupt ({first_line(error)}): make it or copy it again") from error

    def check_inside(self, size: int, where: str) -> None:
        """Checks that all photos are inside a tar of `size` bytes.

        Raises:
            DataError: one is not.
        """
        if np.any(self.offsets < 0) or np.any(self.sizes < 0) or np.any(self.offsets > size - self.sizes):
            raise DataError(f"{where}: its index names photos beyond its end; make the shards again")


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)


def index_tar(file: BinaryIO) -> ShardIndex:
    """Indexes a tar file by its headers.

    Raises:
        tarfile.TarError: it is not a tar, or is compressed, or its headers are invalid.
    """
    names: list[str] = []
    places: list[tuple[int, int]] = []
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.size < 0:  # would make tarfile loop
                    raise tarfile.ReadError(f"{member.name} has {member.size} bytes")
                if member.isfile() and is_picture(member.name):
                    names.append(member.name)
                    places.append((member.offset_data, member.size))
        offsets, sizes = np.array(places, dtype=np.int64).reshape(-1, 2).T
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise tarfile.ReadError(str(error)) from error
    return ShardIndex(Names(names), offsets.copy(), sizes.copy())


def photo_hash(contents: bytes) -> int:
    """The first 64 bits of the SHA-256 of a photo's bytes."""
    return int.from_bytes(hashlib.sha256(contents).digest()[:8], "big")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
