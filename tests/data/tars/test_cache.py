"""Shards of stores: fetched once, kept within a bound, whole."""

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colorization.data.tars.cache import FetchingAhead, RemoteShard, ShardCache
from colorization.data.tars.index import file_sha256
from colorization.errors import ConfigError, DataError, PictureError
from tests.helpers.shards import damage, everything, in_cache, module, pixels
from tests.helpers.stores import Web, make_shards, make_tar


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_fetches_each_shard_once_into_a_bounded_folder(shards: Path, web: Web, num_workers: int) -> None:
    sizes = sorted((path.stat().st_size for path in shards.glob("train*.tar")), reverse=True)
    most = sum(sizes[:5]) + 1
    data = module(f"{web.url}/shards", buffer=4, cache_gb=most / 1e9, num_workers=num_workers)
    data.setup("fit")
    Path("cache").mkdir(exist_ok=True)
    web.sent.clear()
    seen = []
    for batch in data.train_dataloader():
        seen += batch["name"]
        assert in_cache() <= most
    assert len(seen) == len(set(seen)) == len(data.photos_of("train")) // 2 * 2
    tars = {name: count for name, count in web.sent.items() if name.startswith("train")}
    used = {name.split("/")[0] for name in seen}
    # The first shard was fetched before, to see whether its first photo can be used.
    assert used - set(tars) <= {"train-00000.tar"}
    assert max(tars.values()) == 1


def test_a_thread_that_was_slow_fetches_no_shard_that_was_read(web: Web, shards: Path) -> None:
    read, coming = sorted(shards.glob("train*.tar"))[:2]
    ahead = FetchingAhead(ShardCache(Path("cache"), 10**9))
    for place, tar in ((3, read), (5, coming)):
        ahead.want(RemoteShard(f"{web.url}/shards/{tar.name}", tar.stat().st_size, "1"), place)
    ahead.place = 4
    with ahead:
        for _ in range(1000):
            if web.sent[coming.name]:
                break
            threading.Event().wait(0.01)
    assert web.sent == {coming.name: 1}


def test_shards_of_the_next_block_are_prefetched(shards: Path, web: Web) -> None:
    data = module(f"{web.url}/shards", buffer=5)
    photos = data.photos("train")
    assert photos is not None
    assert web.sent.total() == 2  # manifest and index
    order = photos.order(0, 1, 0)
    visit = photos.visit(order)
    assert next(visit) == order[0]
    needed = {photos.name(int(index)).split("/")[0] for index in order[:6]}
    for _ in range(1000):
        if needed <= set(web.sent):
            break
        threading.Event().wait(0.01)
    assert needed <= set(web.sent)
    assert list(visit) == order[1:].tolist()


def test_a_store_that_fails_now_and_then_is_asked_again(shards: Path, web: Web) -> None:
    web.failures.update({"train-00000.tar": 2, "manifest.json": 1, "index.npz": 2})
    assert len(pixels(everything(module(f"{web.url}/shards")))) == 40
    web.failures["val-00000.tar"] = 3
    shutil.rmtree("cache")
    photos = module(f"{web.url}/shards").photos("val")
    assert photos is not None
    with pytest.raises(DataError, match=r"/shards/val-00000\.tar can't be fetched .*503.*check the network"):
        photos.open(0)
    assert photos.open(0).size


def test_a_corrupt_shard_of_a_store_is_named(shards: Path, web: Web) -> None:
    damage(shards / "val-00000.tar")
    photos = module(f"{web.url}/shards").photos("val")
    assert photos is not None
    with pytest.raises(DataError, match=r"val-00000\.tar is corrupt: its SHA-256"):
        photos.open(0)
    assert web.sent["val-00000.tar"] == 3
    assert not list(Path("cache").glob("*.tar")) + list(Path("cache").glob("*.part"))


def test_a_cache_that_is_too_small_is_refused_with_numbers(shards: Path, web: Web) -> None:
    data = module(f"{web.url}/shards", buffer=5, cache_gb=4e-5)
    with pytest.raises(ConfigError, match=r"data\.cache_gb=4e-05 is too small: .*data\.buffer=5 .*give at least"):
        data.setup("fit")
    for options, key in (({"buffer": 0}, "buffer"), ({"cache_gb": 0}, "cache_gb")):
        with pytest.raises(ConfigError, match=f"data.{key}=0 is too small"):
            module("x", **options)


def test_a_cache_that_can_t_be_written_is_named(shards: Path, web: Web, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(DataError, match=r"data\.cache=cache can't be written"):
        everything(module(f"{web.url}/shards")).open(0)


def remote(web: Web, name: str, path: Path) -> RemoteShard:
    return RemoteShard(f"{web.url}/shards/{name}", path.stat().st_size, file_sha256(path), file_sha256(path))


def test_least_recently_used_shards_are_evicted_first(shards: Path, web: Web) -> None:
    a, b, c = (remote(web, path.name, path) for path in sorted(shards.glob("train*"))[:3])
    cache = ShardCache(Path("cache"), 2 * max(a.size or 0, b.size or 0, c.size or 0))
    for shard in (a, b, a, c):
        with cache.opened(shard) as file:
            assert len(file.read()) == shard.size
    assert {path.stem for path in Path("cache").glob("*.tar")} == {a.key, c.key}


def test_who_is_reading_is_not_disturbed(shards: Path, web: Web) -> None:
    a, b = (remote(web, path.name, path) for path in sorted(shards.glob("train*"))[:2])
    cache = ShardCache(Path("cache"), max(a.size or 0, b.size or 0))
    with cache.opened(a) as file, cache.opened(b):
        assert not (Path("cache") / f"{a.key}.tar").exists()
        assert len(file.read()) == a.size


def test_many_readers_fetch_a_shard_once(shards: Path, web: Web) -> None:
    shard = remote(web, "train-00000.tar", shards / "train-00000.tar")
    readers = [threading.Thread(target=ShardCache(Path("cache"), 10**9).fetch, args=(shard,)) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert web.sent == {"train-00000.tar": 1}


def test_leftovers_of_a_killed_process_are_removed(shards: Path, web: Web) -> None:
    a, b = (remote(web, path.name, path) for path in sorted(shards.glob("train*"))[:2])
    Path("cache").mkdir()
    leftovers = [Path("cache") / f"{key}.1000000.part" for key in (a.key, b.key)]
    for leftover in leftovers:
        leftover.touch()
    ShardCache(Path("cache"), 500_000).fetch(a)
    assert [path.stem for path in Path("cache").iterdir() if path.is_file()] == [a.key]


def test_other_files_in_the_cache_are_left_alone(shards: Path, web: Web) -> None:
    a, b = (remote(web, path.name, path) for path in sorted(shards.glob("train*"))[:2])
    Path("cache").mkdir()
    others = ["precious.tar", "movie.part", ".part", "x.9.part", f"{a.key}.part", f"{a.key}.x.part", f"x{a.key}.tar"]
    for name in others:
        (Path("cache") / name).write_bytes(bytes(100))
    cache = ShardCache(Path("cache"), (a.size or 0) + (b.size or 0))  # just enough, if others do not count
    for shard in (a, b, a):
        cache.fetch(shard)
    left = {path.name for path in Path("cache").iterdir() if path.is_file()}
    assert left == {*others, f"{a.key}.tar", f"{b.key}.tar"}


def test_shards_that_another_user_fetched_can_be_read(shards: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    photos = everything(module(f"{web.url}/shards"))
    before = pixels(photos)
    monkeypatch.setattr(os, "utime", refuse)
    assert pixels(photos) == before


@pytest.mark.parametrize("harm", ["changed", "cut off"])
def test_a_corrupt_shard_in_the_cache_is_fetched_again(shards: Path, web: Web, harm: str) -> None:
    photos = everything(module(f"{web.url}/shards"))
    before = pixels(photos)
    for path in Path("cache").glob("*.tar"):
        damage(path) if harm == "changed" else path.write_bytes(path.read_bytes()[:700])
    web.sent.clear()
    assert pixels(photos) == before
    assert set(web.sent.values()) == {1}


def test_a_shard_that_stays_corrupt_is_fetched_again_only_once(tmp_path: Path, web: Web) -> None:
    shards = make_shards(tmp_path / "shards", 8, 4)
    with np.load(shards / "index.npz") as found:
        arrays = dict(found)
    arrays["hashes"] += np.uint64(1)
    np.savez(shards / "index.npz", **arrays)
    manifest = json.loads((shards / "manifest.json").read_text())
    manifest["index_sha256"] = file_sha256(shards / "index.npz")
    (shards / "manifest.json").write_text(json.dumps(manifest))
    photos = everything(module(f"{web.url}/shards"))
    for _ in range(3):
        for index in range(len(photos)):
            with pytest.raises(PictureError, match="is corrupt"):
                photos.open(index)
    assert {count for name, count in web.sent.items() if name.endswith(".tar")} == {2}


def test_a_corrupt_index_of_a_tar_is_built_again(tmp_path: Path, web: Web) -> None:
    make_tar(tmp_path / "a.tar", 3)
    before = everything(module(f"{web.url}/a.tar")).fingerprint()
    (known,) = (Path("cache") / "known").iterdir()
    contents = known.read_bytes()
    known.write_bytes(contents[:100])
    assert everything(module(f"{web.url}/a.tar")).fingerprint() == before
    assert known.read_bytes() == contents
    assert web.sent["a.tar"] == 1
    # Nothing can be made of what has come to harm, but the next try fetches it.
    known.unlink()
    next(Path("cache").glob("*.tar")).write_text("no tar")
    with pytest.raises(DataError, match=r"a\.tar can't be read as a tar file"):
        module(f"{web.url}/a.tar").photos("all")
    assert everything(module(f"{web.url}/a.tar")).fingerprint() == before
