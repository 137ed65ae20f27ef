"""Shards of stores: fetched once, kept within a bound, checked, and visited in an order that needs few at a time."""

import itertools
import json
import os
import shutil
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from colorization.cli import explain
from colorization.data import stores
from colorization.data.blocks import Blocks
from colorization.data.datamodule import absolute_root
from colorization.data.photos import Photos, SelectedPhotos
from colorization.data.shardcache import RemoteShard, ShardCache
from colorization.data.shardindex import file_sha256
from colorization.data.shardlist import expand, list_shards
from colorization.data.shards import ShardPhotos, ShardsDataModule
from colorization.errors import ConfigError, DataError, PictureError
from tests.stores import Web, make_shards, make_tar, serve


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "WAITS", (0.0, 0.0))


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


@pytest.mark.parametrize("form", ["folder", "slash", "braces", "list", "memory"])
def test_photos_of_a_store_are_those_of_the_disk(shards: Path, web: Web, memory: str, form: str) -> None:
    names = sorted(path.name for path in shards.glob("*.tar"))
    roots: dict[str, str | list[str]] = {
        "folder": f"{web.url}/shards",
        "slash": f"{web.url}/shards/",
        "braces": f"{web.url}/shards/{{{','.join(names)}}}",
        "list": [f"{web.url}/shards/{name}" for name in names],
        "memory": memory,
    }
    here, there = module(str(shards)), module(roots[form])
    assert pixels(everything(there)) == pixels(everything(here))
    for split in ("train", "val"):
        one, other = here.photos(split), there.photos(split)
        assert one is not None
        assert other is not None
        assert [one.name(i) for i in range(len(one))] == [other.name(i) for i in range(len(other))]
    assert everything(there).fingerprint() == everything(here).fingerprint()


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


def test_shards_of_the_next_block_are_fetched_ahead(shards: Path, web: Web) -> None:
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


def test_tars_without_manifest_are_listed_by_fetching_them_once(tmp_path: Path, web: Web) -> None:
    (tmp_path / "tars").mkdir()
    for number in range(3):
        make_tar(tmp_path / "tars" / f"a-{number}.tar", 4, 10 * number)
    root = f"{web.url}/tars"
    there = everything(module(root))
    assert pixels(there) == pixels(everything(module(str(tmp_path / "tars"))))
    before = there.fingerprint()
    for path in Path("cache").glob("*.tar"):
        path.unlink()
    web.sent.clear()
    assert everything(module(root)).fingerprint() == before
    assert not any(name.endswith(".tar") for name in web.sent)
    tar = make_tar(tmp_path / "tars" / "a-1.tar", 5, 50)  # another file under the same name is another shard
    os.utime(tar, (0, 0))
    assert len(everything(module(root))) == 13
    assert {name: count for name, count in web.sent.items() if name.endswith(".tar")} == {"a-1.tar": 1}


def test_a_store_that_fails_now_and_then_is_asked_again(shards: Path, web: Web) -> None:
    web.failures.update({"train-00000.tar": 2, "manifest.json": 1, "index.npz": 2})
    assert len(pixels(everything(module(f"{web.url}/shards")))) == 40
    web.failures["val-00000.tar"] = 3
    shutil.rmtree("cache")
    photos = module(f"{web.url}/shards").photos("val")
    assert photos is not None
    with pytest.raises(DataError, match=r"/shards/val-00000\.tar can't be fetched .*503.*see to the network"):
        photos.open(0)
    assert photos.open(0).size


def test_what_is_not_there_is_said(tmp_path: Path, web: Web) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("no tar")
    for root, message in (
        (f"{web.url}/nowhere", "nowhere does not exist, or may not be listed: name the tars"),
        (f"{web.url}/nowhere.tar", r"nowhere\.tar does not exist, or may not be read"),
        (f"{web.url}/empty", r"holds no \.tar files"),
        (f"{web.url}/text.tar", r"text\.tar can't be read as a plain tar file"),
        ("http://127.0.0.1:9/shards", "127.0.0.1:9/shards.* can't be fetched .*see to the network"),
        ("http://127.0.0.1:9/a.tar", "127.0.0.1:9/.* can't be fetched .*see to the network"),
        ("oci://bucket@space/a.tar", "needs a package that is not installed: .*ocifs"),
        ("nosuch://bucket/a.tar", "data.root=nosuch://bucket/.* can't be opened"),
        ("memory://nowhere", "does not exist"),
    ):
        with pytest.raises(DataError, match=message) as error:
            module(root).photos("all")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("root", ["pipe:cat a.tar", "pipe:curl -s http://x/{000..002}.tar", "cat a.tar |", "| a.tar"])
def test_shell_pipes_are_refused(root: str) -> None:
    with pytest.raises(DataError, match="is a shell command, and none is run"):
        module(["good.tar", root]).photos("all")


def test_an_error_in_a_loader_process_is_one_sentence(shards: Path, web: Web) -> None:
    data = module(f"{web.url}/shards", num_workers=1)
    data.setup("fit")
    web.failures.update({path.name: 10**6 for path in shards.glob("*.tar")})
    loader = data.train_dataloader()
    with pytest.raises(DataError) as error:
        list(loader)
    # It has the server's socket open, too, and would wait for an answer once the server is gone.
    loader._iterator._shutdown_workers()  # type: ignore[union-attr]
    assert explain(error.value).startswith(f"{web.url}/shards/train-")
    assert "\n" not in explain(error.value)


def test_a_damaged_photo_is_an_unreadable_one(shards: Path) -> None:
    damage(shards / "train-00001.tar")
    data = module(str(shards), max_unreadable=0.5)
    data.setup("fit")
    seen = []
    for batch in data.train_dataloader():
        seen += data.on_before_batch_transfer(batch, 0)["name"]
    (unreadable,) = data.skipped.unreadable
    assert unreadable.startswith("train-00001.tar/")
    assert "not those that the manifest promises" in data.skipped.found[unreadable].reason
    assert unreadable not in seen


def test_a_damaged_shard_of_a_store_is_named(shards: Path, web: Web) -> None:
    damage(shards / "val-00000.tar")
    photos = module(f"{web.url}/shards").photos("val")
    assert photos is not None
    with pytest.raises(DataError, match=r"val-00000\.tar is damaged: its SHA-256"):
        photos.open(0)
    assert web.sent["val-00000.tar"] == 3
    assert not list(Path("cache").glob("*.tar")) + list(Path("cache").glob("*.part"))


def test_shards_that_are_not_what_the_manifest_promises(shards: Path, tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            module(str(shards)).photos("all")

    make_tar(shards / "extra.tar", 2)
    refused(r"extra\.tar is not in the manifest\.json beside it")
    with pytest.raises(DataError, match=r"extra\.tar is not in the manifest\.json"):
        module(str(shards / "extra.tar")).photos("all")
    (shards / "extra.tar").unlink()
    whole = (shards / "val-00000.tar").read_bytes()
    (shards / "val-00000.tar").write_bytes(whole[:-512])
    refused(rf"val-00000\.tar has {len(whole) - 512} bytes, and manifest\.json beside it promises {len(whole)}")
    (shards / "val-00000.tar").unlink()
    refused(r"val-00000\.tar is missing")
    (shards / "val-00000.tar").write_bytes(whole)
    damage(shards / "index.npz", 200)
    refused(r"index\.npz is not the one that manifest\.json beside it was written with")
    (shards / "index.npz").unlink()
    refused(r"index\.npz is missing")
    (shards / "manifest.json").write_text("{")
    refused(r"manifest\.json is damaged")
    (shards / "manifest.json").write_text('{"format": "of another program"}')
    assert len(everything(module(str(shards)))) == 40


@pytest.mark.parametrize(
    "name",
    ["../train-00000.tar", "/etc/a.tar", "http://elsewhere/a.tar", "a/b.tar", ".hidden.tar", "a.tar\n", "a b|.tar"],
)
def test_a_manifest_may_not_name_files_elsewhere(shards: Path, name: str) -> None:
    manifest = json.loads((shards / "manifest.json").read_text())
    manifest["shards"][0]["name"] = name
    (shards / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"manifest\.json can't be used: shards\.0\.name="):
        module(str(shards)).photos("all")


@pytest.mark.parametrize(
    "change", ["sizes", "offsets", "ends", "column", "dates", "names", "missing", "pickle", "packed", "text"]
)
def test_a_forged_index_is_refused(shards: Path, change: str) -> None:
    with np.load(shards / "index.npz") as found:
        arrays = dict(found)
    if change in ("sizes", "offsets"):
        arrays[change][3] = 2**62 if change == "sizes" else -1
    elif change == "ends":
        arrays["ends"][3] = -5
    elif change == "column":
        arrays["ends"] = arrays["ends"][:, None]
    elif change == "dates":
        arrays["names"] = np.zeros(len(arrays["names"]), dtype="M8[s],i4")
    elif change == "names":
        arrays["names"] = arrays["names"][:-3]
    elif change == "missing":
        del arrays["offsets"]
    elif change == "pickle":
        arrays["sizes"] = np.array([object()] * len(arrays["sizes"]))
    (np.savez_compressed if change == "packed" else np.savez)(shards / "index.npz", **arrays)
    if change == "text":
        (shards / "index.npz").write_text("no index")
    manifest = json.loads((shards / "manifest.json").read_text())
    manifest["index_sha256"] = file_sha256(shards / "index.npz")
    (shards / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="index"):
        module(str(shards)).photos("all")


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


def test_the_shards_read_longest_ago_go_first(shards: Path, web: Web) -> None:
    a, b, c = (remote(web, path.name, path) for path in sorted(shards.glob("train*"))[:3])
    cache = ShardCache(Path("cache"), 2 * max(a.size or 0, b.size or 0, c.size or 0))
    for shard in (a, b, a, c):
        with cache.opened(shard) as file:
            assert len(file.read()) == shard.size
    assert {path.stem for path in Path("cache").glob("*.tar")} == {a.key, c.key}


def test_who_is_reading_is_not_disturbed(shards: Path, web: Web) -> None:
    a, b = (remote(web, path.name, path) for path in sorted(shards.glob("train*"))[:2])
    cache = ShardCache(Path("cache"), 1)
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


def test_what_a_killed_process_left_goes(shards: Path, web: Web) -> None:
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
def test_a_shard_that_came_to_harm_in_the_cache_is_fetched_once_more(shards: Path, web: Web, harm: str) -> None:
    photos = everything(module(f"{web.url}/shards"))
    before = pixels(photos)
    for path in Path("cache").glob("*.tar"):
        damage(path) if harm == "changed" else path.write_bytes(path.read_bytes()[:700])
    web.sent.clear()
    assert pixels(photos) == before
    assert set(web.sent.values()) == {1}


def test_a_shard_that_can_t_be_mended_is_fetched_once_more_and_no_oftener(tmp_path: Path, web: Web) -> None:
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
            with pytest.raises(PictureError, match="is damaged"):
                photos.open(index)
    assert {count for name, count in web.sent.items() if name.endswith(".tar")} == {2}


def test_what_is_known_of_a_tar_is_found_out_anew_if_it_is_damaged(tmp_path: Path, web: Web) -> None:
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
    with pytest.raises(DataError, match=r"a\.tar can't be read as a plain tar file"):
        module(f"{web.url}/a.tar").photos("all")
    assert everything(module(f"{web.url}/a.tar")).fingerprint() == before


@pytest.mark.parametrize("form", ["memory://bucket/shards", "memory:///bucket/shards/", "local", "simplecache"])
def test_stores_with_several_names_are_listed(shards: Path, web: Web, memory: str, form: str, tmp_path: Path) -> None:
    (shards / "manifest.json").unlink()
    fsspec.filesystem("memory").rm("/bucket/shards/manifest.json")
    root = {"local": f"local://{shards}", "simplecache": f"simplecache::{web.url}/shards"}.get(form, form)
    assert pixels(everything(module(root))) == pixels(everything(module(str(shards))))


def splits_of(folder: Path, *names: str) -> dict[str, set[str]]:
    """Which tars the photos of each split come from."""
    folder.mkdir()
    for number, name in enumerate(names):
        make_tar(folder / f"{name}.tar", 6, 10 * number)
    data = module(str(folder), val_share=0.5)
    lists = {split: data.photos(split) for split in ("train", "val", "test")}
    return {
        split: {photos.name(index).split(".")[0] for index in range(len(photos))}
        for split, photos in lists.items()
        if photos is not None
    }


def test_names_of_shards_say_what_is_held_out(tmp_path: Path) -> None:
    for number, (rest, val, test) in enumerate(
        (
            (["train-0"], ["validation-0"], []),
            (["a-0"], ["val-0"], []),
            (["extra-0", "train-0", "valley-0", "validate", "testing"], ["val", "val_1", "valid.2"], ["test-0"]),
        )
    ):
        found = splits_of(tmp_path / str(number), *rest, *val, *test)
        expected = {"train": set(rest), "val": {name.split(".")[0] for name in val}, "test": set(test)}
        assert found == {split: names for split, names in expected.items() if names}


def test_photos_are_held_out_by_hash_where_no_shard_says_which(tmp_path: Path) -> None:
    for number, names in enumerate((["train-0", "train-1"], ["a", "valley"], ["val-0", "val-1"])):
        found = splits_of(tmp_path / str(number), *names)
        assert found == {"train": set(names), "val": set(names)}
    found = splits_of(tmp_path / "with test", "a", "b", "test")
    assert found == {"train": {"a", "b"}, "val": {"a", "b"}, "test": {"test"}}


@pytest.mark.parametrize("name", ["odd{1,2}", "a|b", "a\\b", "a{b", "pipe:x"])
def test_what_exists_is_taken_as_it_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    make_tar(folder / "a.tar", 2)
    for root in (folder, folder / "a.tar"):
        assert len(everything(module(str(root)))) == 2
    pattern = f"{tmp_path}/{{{','.join(f'{number:04d}' for number in range(1500))}}}.tar"  # longer than a name may be
    assert len(expand([pattern])) == 1500


def test_addresses_with_a_query_and_a_loud_scheme(tmp_path: Path, web: Web) -> None:
    make_tar(tmp_path / "a.tar", 2)
    for root in (f"{web.url}/a.tar?sig=a/b", f"{web.url}/a.tar?x=/b.tar", web.url.replace("http", "HTTP") + "/a.tar"):
        photos = everything(module(root))
        assert [photos.name(index) for index in range(len(photos))] == ["a.tar/000.png", "a.tar/001.png"]
        assert photos.open(0).size


def test_a_manifest_of_brackets_is_refused(shards: Path) -> None:
    (shards / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        module(str(shards)).photos("all")


@pytest.mark.parametrize("size", [2**62, 2**63, 2**70, -512, -(2**70)])
@pytest.mark.parametrize("last", [False, True])
def test_a_tar_of_an_impossible_size_is_refused(tmp_path: Path, size: int, last: bool) -> None:
    member = tarfile.TarInfo("a.png")
    member.size = size
    header = member.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(header if last else header + bytes(10240))
    with pytest.raises(DataError, match=r"a\.tar can't be read as a plain tar file") as error:
        module(str(tmp_path)).photos("all")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["manifest.json", "index.npz"])
def test_a_manifest_that_may_not_be_read_turns_no_checks_off(
    shards: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    original = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(DataError, match=rf"{name} can't be read \(Permission denied\): let everyone read it"):
        module(str(shards)).photos("all")


def test_shards_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for number, folder in enumerate(("x/a", "x/b", "y/b")):
        (tmp_path / folder).mkdir(parents=True)
        make_tar(tmp_path / folder / "train.tar", 4, 10 * number)
    make_tar(tmp_path / "y" / "b" / "val.tar", 4, 50)
    a, b, other = (str(tmp_path / folder) for folder in ("x/a", "x/b", "y/b"))
    names = [name for name, _ in pixels(everything(module([a, b])))]
    assert names == [
        f"{folder}/train.tar/{number:03d}.png"
        for folder, first in (("a", 0), ("b", 10))
        for number in range(first, first + 4)
    ]
    data = module([a, b, other])
    shards = ["x/a/train.tar", "x/b/train.tar", "y/b/train.tar", "val.tar"]
    assert list(dict.fromkeys(name.rpartition("/")[0] for name, _ in pixels(everything(data)))) == shards
    val = data.photos("val")
    assert val is not None
    assert {val.name(index).rpartition("/")[0] for index in range(len(val))} == {"val.tar"}


def test_another_folder_changes_nothing_about_what_is_held_out(tmp_path: Path) -> None:
    for number, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        make_tar(tmp_path / folder / "x.tar", 12, 20 * number)

    def held_out(*folders: str) -> set[str]:
        photos = module([str(tmp_path / folder) for folder in folders], val_share=0.5).photos("val")
        assert photos is not None
        return {photos.name(index).rpartition("/")[2] for index in range(len(photos))}

    assert held_out("a", "b") == held_out("a") | held_out("b")


def test_an_address_in_two_forms_is_refused(tmp_path: Path, web: Web) -> None:
    make_tar(tmp_path / "a.tar", 2)
    with pytest.raises(DataError, match=r"names http://.*/a\.tar in two ways: leave one of them out"):
        module([f"{web.url}/a.tar?sig=1", f"{web.url}/a.tar?sig=2"]).photos("all")


def test_addresses_stay_as_they_are() -> None:
    for address in ("https://host/a//b", "s3://bucket/{a,b}.tar", "simplecache::s3://bucket/x"):
        assert absolute_root(address) == address
    assert absolute_root("a.tar") == str(Path("a.tar").resolve())
    assert expand(["s3://b/{0..1}.tar", "s3://b/1.tar"]) == ["s3://b/0.tar", "s3://b/1.tar"]


def test_shards_are_listed_once(tmp_path: Path) -> None:
    tar = make_tar(tmp_path / "a.tar", 2)
    cache = ShardCache(tmp_path / "cache", 1)
    assert [shard.name for shard in list_shards([str(tmp_path), str(tar)], cache)] == ["a.tar"]


COUNTS = [(1,), (7,), (3, 4, 5), (5, 1, 1, 9, 2), (10,) * 6, (1,) * 12]


def blocks_of(counts: tuple[int, ...], buffer: int) -> Blocks:
    return Blocks(np.repeat(np.arange(len(counts)), counts), buffer)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("shares", [1, 2, 3])
@pytest.mark.parametrize("buffer", [1, 4, 1000])
def test_shares_are_equal_and_hold_no_photo_twice(counts: tuple[int, ...], shares: int, buffer: int) -> None:
    total = sum(counts)
    for seed in range(5):
        orders = [blocks_of(counts, buffer).order(seed, shares, share) for share in range(shares)]
        again = [blocks_of(counts, buffer).order(seed, shares, share) for share in range(shares)]
        assert all(np.array_equal(one, other) for one, other in zip(orders, again, strict=True))
        if total < shares:
            assert [len(order) for order in orders] == [1] * shares
            continue
        assert [len(order) for order in orders] == [total // shares] * shares
        every = np.concatenate(orders)
        assert len(set(every.tolist())) == len(every)
        assert set(every.tolist()) <= set(range(total))


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("window", [1, 2, 5, 9, 30])
def test_no_window_needs_more_shards_than_said(counts: tuple[int, ...], window: int) -> None:
    blocks = blocks_of(counts, 1)  # each photo in the order of its shard
    bound = blocks.most_at_once(window)
    for seed in range(20):
        numbers = blocks.shards[blocks.order(seed, 1, 0)]
        for start in range(max(len(numbers) - window, 0) + 1):
            assert len(set(numbers[start : start + window].tolist())) <= bound <= len(counts)


def test_blocks_are_shuffled_and_so_are_shards() -> None:
    blocks = blocks_of((10,) * 10, 20)
    orders = [blocks.order(seed, 1, 0) for seed in range(50)]
    # Which shards are in the first block differs, and so does which of its photos comes first.
    assert len({frozenset((order[:20] // 10).tolist()) for order in orders}) > 20
    assert len({int(order[0]) for order in orders}) > 20
    for order in orders:
        for start in range(0, 100, 20):
            assert len(set((order[start : start + 20] // 10).tolist())) == 2
    places = np.array([np.argsort(order) for order in orders])
    assert np.abs(places.mean(axis=0) - 49.5).max() < 20  # each photo comes everywhere


def test_a_selection_keeps_the_blocks_of_its_shards(shards: Path) -> None:
    data = module(str(shards), buffer=3)
    whole = everything(data)
    chosen = SelectedPhotos(whole, range(1, len(whole), 2))
    order = chosen.order(7, 2, 1)
    assert list(chosen.visit(order)) == order.tolist()
    blocks = chosen.blocks()
    assert blocks is not None
    assert blocks.buffer == 3
    of_each = [chosen.name(index).split("/")[0] for index in range(len(chosen))]
    assert all(
        (of_each[i] == of_each[j]) == (blocks.shards[i] == blocks.shards[j]) for i, j in itertools.pairwise(range(20))
    )


def test_another_photo_of_the_same_shard_stands_in(shards: Path, web: Web) -> None:
    data = module(f"{web.url}/shards", buffer=5)
    data.setup("fit")
    dataset = data._datasets["train"]
    photos = dataset.photos
    bad = 7
    shard = photos.name(bad).split("/")[0]
    original = ShardPhotos.open

    def fails(self: ShardPhotos, index: int) -> Any:
        if self.name(index) == photos.name(bad):
            raise PictureError("is not there")
        return original(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardPhotos, "open", fails)
        stand_ins = Counter(dataset[bad]["name"].split("/")[0] for _ in range(10))
    assert set(stand_ins) == {shard}
