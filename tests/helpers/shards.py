"""Shards that the tests make, and what is read from them."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from colorization.data.photos import Photos
from colorization.data.tars.photos import ShardsDataModule


def module(root: str | list[str], **options: Any) -> ShardsDataModule:
    defaults: dict[str, Any] = {"size": 32, "batch_size": 2, "cache": "cache"}
    return ShardsDataModule(root, **(defaults | options))


def everything(data: ShardsDataModule) -> Photos:
    photos = data.photos("all")
    assert photos is not None
    return photos


def pixels(photos: Photos) -> list[tuple[str, bytes]]:
    return [(photos.name(index), photos.open(index).tobytes()) for index in range(len(photos))]


def in_cache() -> int:
    total = 0
    for path in Path("cache").glob("*.tar"):
        with suppress(FileNotFoundError):  # a loader process may just have thrown it out
            total += path.stat().st_size
    return total


def damage(path: Path, offset: int = 600) -> None:
    """Changes one byte of a file, by default in the first photo of a tar."""
    contents = bytearray(path.read_bytes())
    contents[offset] ^= 1
    path.write_bytes(contents)
