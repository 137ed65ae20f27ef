"""Shards on a disk, on a web server and in memory, and what tests ask of them."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest

from colorization.data.photos import Photos
from colorization.data.tars import remote
from colorization.data.tars.photos import ShardsDataModule
from tests.stores import Web, make_shards, serve


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0))


@pytest.fixture(scope="session")
def kept_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards") / "shards")


@pytest.fixture
def shards(kept_shards: Path, tmp_path: Path) -> Path:
    """Eight or nine shards of forty photos, with a manifest."""
    return Path(shutil.copytree(kept_shards, tmp_path / "shards"))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with serve(tmp_path) as served:
        yield served


@pytest.fixture
def memory(shards: Path) -> Iterator[str]:
    """The shards in fsspec's own store, which is no web server."""
    store = fsspec.filesystem("memory")
    store.put(str(shards), "/bucket/shards", recursive=True)
    yield "memory://bucket/shards"
    store.rm("/bucket", recursive=True)


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
