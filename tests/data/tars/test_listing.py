"""From roots to shards: addresses, manifests and their promises, and what is refused."""

import json
import os
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

from colorization.data.datamodule import absolute_root
from colorization.data.tars.cache import ShardCache
from colorization.data.tars.index import file_sha256
from colorization.data.tars.listing import expand, list_shards
from colorization.errors import DataError
from tests.helpers.shards import damage, everything, module, pixels
from tests.helpers.stores import Web, make_tar


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


def test_missing_shards_are_reported(tmp_path: Path, web: Web) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("no tar")
    for root, message in (
        (f"{web.url}/nowhere", "nowhere does not exist, or can't be listed: name the tars"),
        (f"{web.url}/nowhere.tar", r"nowhere\.tar does not exist, or can't be read"),
        (f"{web.url}/empty", r"holds no \.tar files"),
        (f"{web.url}/text.tar", r"text\.tar can't be read as a tar file"),
        ("http://127.0.0.1:9/shards", "127.0.0.1:9/shards.* can't be fetched .*check the network"),
        ("http://127.0.0.1:9/a.tar", "127.0.0.1:9/.* can't be fetched .*check the network"),
        ("oci://bucket@space/a.tar", "needs a package that is not installed: .*ocifs"),
        ("nosuch://bucket/a.tar", "data.root=nosuch://bucket/.* can't be opened"),
        ("memory://nowhere", "does not exist"),
    ):
        with pytest.raises(DataError, match=message) as error:
            module(root).photos("all")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("root", ["pipe:cat a.tar", "pipe:curl -s http://x/{000..002}.tar", "cat a.tar |", "| a.tar"])
def test_shell_pipes_are_refused(root: str) -> None:
    with pytest.raises(DataError, match="is a shell command, which is not run"):
        module(["good.tar", root]).photos("all")


def test_a_pipe_called_tar_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(DataError, match=r"a\.tar .*not a regular file"):
        module(str(tmp_path)).photos("all")


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
    refused(rf"val-00000\.tar has {len(whole) - 512} bytes, but manifest\.json beside it says {len(whole)}")
    (shards / "val-00000.tar").unlink()
    refused(r"val-00000\.tar is missing")
    (shards / "val-00000.tar").write_bytes(whole)
    damage(shards / "index.npz", 200)
    refused(r"index\.npz does not match manifest\.json beside it")
    (shards / "index.npz").unlink()
    refused(r"index\.npz is missing")
    (shards / "manifest.json").write_text("{")
    refused(r"manifest\.json is corrupt")
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


@pytest.mark.parametrize("form", ["memory://bucket/shards", "memory:///bucket/shards/", "local", "simplecache"])
def test_stores_with_several_names_are_listed(shards: Path, web: Web, memory: str, form: str, tmp_path: Path) -> None:
    (shards / "manifest.json").unlink()
    fsspec.filesystem("memory").rm("/bucket/shards/manifest.json")
    root = {"local": f"local://{shards}", "simplecache": f"simplecache::{web.url}/shards"}.get(form, form)
    assert pixels(everything(module(root))) == pixels(everything(module(str(shards))))


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
    with pytest.raises(DataError, match=r"manifest\.json is corrupt"):
        module(str(shards)).photos("all")


@pytest.mark.parametrize("size", [2**62, 2**63, 2**70, -512, -(2**70)])
@pytest.mark.parametrize("last", [False, True])
def test_a_tar_of_an_impossible_size_is_refused(tmp_path: Path, size: int, last: bool) -> None:
    member = tarfile.TarInfo("a.png")
    member.size = size
    header = member.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(header if last else header + bytes(10240))
    with pytest.raises(DataError, match=r"a\.tar can't be read as a tar file") as error:
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
