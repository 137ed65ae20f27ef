"""Shards on a disk, on a web server and in memory, and what tests ask of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from colorization.data.tars import remote
from tests.helpers.stores import Web, make_shards, serve


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
