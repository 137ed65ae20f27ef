"""From `data.root` to shards: folders, brace patterns and URLs, with the manifests beside them."""

import hashlib
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from braceexpand import braceexpand

from colorization.data.tars import remote
from colorization.data.tars.cache import RemoteShard, ShardCache, missing
from colorization.data.tars.index import INDEX, MANIFEST, UNFINISHED, Manifest, ShardIndex, index_tar
from colorization.data.tars.remote import is_address, is_command, joined, lowered
from colorization.errors import DataError, first_line
from colorization.runtime.console import tracked
from colorization.runtime.files import open_regular

# Concurrent requests while shards are listed.
_REQUESTS = 8
# How large a manifest and its index may be in a store: enough for 50,000 shards, and for 20 million photos.
_MOST_BYTES = {MANIFEST: 16 * 2**20, INDEX: 2**30}
# Stores' keys for the version of a file, the most reliable first.
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "Last-Modified", "LastModified", "updated", "mtime", "created")


@dataclass(frozen=True)
class Shard:
    """A tar file of photos.

    Attributes:
        place: its path, or its entry in a store.
        name: its file name, with as many of its folders as make it unique.
        index: where the photos are in it.
    """

    place: Path | RemoteShard
    name: str
    index: ShardIndex


class _Root(NamedTuple):
    """One path or URL: a tar or, with an empty `name`, a folder of tars."""

    folder: str
    name: str
    whole: str


def list_shards(roots: Sequence[str], cache: ShardCache) -> list[Shard]:
    """The shards of several roots, in order, without repetition.

    Shards with a manifest are listed by it. Other tars are indexed by reading them: those on this machine each time,
    those of a store once, for which they are fetched.

    Args:
        roots: folders, brace patterns, paths and URLs.
        cache: for fetched shards.

    Raises:
        DataError: a shard does not exist, is not a tar, or differs from its manifest; or a root is a shell command.
    """
    by_folder: dict[str, list[_Root]] = {}
    for root in map(_parted, expand(roots)):
        by_folder.setdefault(root.folder, []).append(root)
    shards = [shard for folder, wanted in by_folder.items() for shard in _of_folder(folder, wanted, cache)]
    by_name: dict[str, list[Shard]] = {}
    for shard in shards:
        by_name.setdefault(shard.name, []).append(shard)
    names = {
        id(shard): name for alike in by_name.values() for shard, name in zip(alike, _told_apart(alike), strict=True)
    }
    return [replace(shard, name=names[id(shard)]) for shard in shards]


def _told_apart(alike: Sequence[Shard]) -> list[str]:
    """Unique names of shards with the same file name, with as few folders as possible.

    Raises:
        DataError: two are the same file.
    """
    roots = [_parted(str(place) if isinstance(place := shard.place, Path) else place.address) for shard in alike]
    paths = [[*root.folder.split("/"), root.name] for root in roots]
    for parts in range(1, max(map(len, paths)) + 1):
        names = ["/".join(path[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise DataError(f"data.root names {joined(roots[0].folder, roots[0].name)} in two ways: leave one of them out")


def expand(roots: Sequence[str]) -> list[str]:
    """Roots with their braces expanded, without repetition. A root that exists on this machine is not expanded.

    Raises:
        DataError: braces do not match, or a root is a shell command.
    """
    expanded: list[str] = []
    for root in roots:
        if _is_here(Path(root)):
            expanded.append(root)
            continue
        if is_command(root):
            raise DataError(
                f"data.root={root} is a shell command, which is not run: give a path, or a URL such as https://... "
                "or s3://..."
            )
        try:
            expanded += braceexpand(root)
        except ValueError as error:
            raise DataError(
                f"data.root={root}: the braces do not match; write for example a-{{000..005}}.tar"
            ) from error
    return list(dict.fromkeys(expanded))


def _is_here(path: Path) -> bool:
    try:
        return path.expanduser().exists()
    except (OSError, RuntimeError):  # a pattern may be too long for a file name, or name an unknown user's home
        return False


def _parted(root: str) -> _Root:
    if is_address(root):
        root = lowered(root)
        for tar in (root.partition("?")[0], root):  # a query may hold credentials
            if tar.endswith(".tar"):
                folder, _, name = tar.rpartition("/")
                return _Root(folder, name, root)
        return _Root(root.rstrip("/"), "", root)
    path = Path(root).expanduser()
    return _Root(str(path), "", root) if path.is_dir() else _Root(str(path.parent), path.name, str(path))


def _of_folder(folder: str, wanted: Sequence[_Root], cache: ShardCache) -> list[Shard]:
    if not is_address(folder) and _is_here(Path(folder, UNFINISHED)):
        raise DataError(
            f"{folder} is not finished: repeat its command colorize-prepare, which resumes where it was stopped"
        )
    described = _described(folder)
    if described is not None:
        manifest, index = described
        return _promised(folder, wanted, manifest, index)
    places = [place for root in wanted for place in ([root.whole] if root.name else _tars(folder))]
    places = list(dict.fromkeys(places))
    if is_address(folder):
        return _fetched(places, cache)
    return [_run_over(Path(place)) for place in places]


def _described(folder: str) -> tuple[Manifest, ShardIndex] | None:
    """The manifest of a folder and its index; None without a manifest.

    Raises:
        DataError: it is corrupt or can't be read, or the index does not match it.
    """
    try:
        manifest = Manifest.parse(_contents(folder, MANIFEST), joined(folder, MANIFEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if manifest is None:
        return None
    where = joined(folder, INDEX)
    try:
        contents = _contents(folder, INDEX)
    except FileNotFoundError as error:
        raise DataError(f"{where} is missing: copy it to where {MANIFEST} is") from error
    if hashlib.sha256(contents).hexdigest() != manifest.index_sha256:
        raise DataError(f"{where} does not match {MANIFEST} beside it: copy both again")
    index = ShardIndex.parse(contents, where)
    if not len(index) == manifest.photos == sum(entry.photos for entry in manifest.shards):
        raise DataError(f"{joined(folder, MANIFEST)} has different numbers of photos: make the shards again")
    return manifest, index


def _contents(folder: str, name: str) -> bytes:
    if is_address(folder):
        return remote.read(joined(folder, name), _MOST_BYTES[name])
    try:
        return Path(folder, name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise DataError(
            f"{joined(folder, name)} can't be read ({error.strerror or error}): let everyone read it"
        ) from error


def _promised(folder: str, wanted: Sequence[_Root], manifest: Manifest, index: ShardIndex) -> list[Shard]:
    """The shards of a folder by its manifest; the sizes of those on this machine are checked."""
    ends = np.cumsum([entry.photos for entry in manifest.shards]).tolist()
    entries = {entry.name: (entry, end) for entry, end in zip(manifest.shards, ends, strict=True)}
    present = [] if is_address(folder) else [Path(place).name for place in _tars(folder)]
    names = [name for root in wanted for name in ([root.name] if root.name else [*entries, *present])]
    shards = []
    for name in dict.fromkeys(names):
        place = joined(folder, name)
        if name not in entries:
            raise DataError(f"{place} is not in the {MANIFEST} beside it: put other shards into another folder")
        entry, end = entries[name]
        part = index.part(end - entry.photos, end)
        part.check_inside(entry.bytes, place)
        if is_address(folder):
            whole = next((root.whole for root in wanted if root.name == name), place)
            shards.append(Shard(RemoteShard(whole, entry.bytes, entry.sha256, entry.sha256), name, part))
            continue
        path = Path(place)
        size = path.stat().st_size if path.is_file() else None
        if size != entry.bytes:
            what = "is missing" if size is None else f"has {size} bytes"
            raise DataError(
                f"{path} {what}, but {MANIFEST} beside it says {entry.bytes} bytes: copy it or make it again"
            )
        shards.append(Shard(path, name, part))
    return shards


def _tars(folder: str) -> list[str]:
    """The tars in a folder, sorted.

    Raises:
        DataError: there are none.
    """
    try:
        found = remote.list_tars(folder) if is_address(folder) else sorted(map(str, Path(folder).glob("[!.]*.tar")))
    except FileNotFoundError as error:
        raise DataError(
            f"data.root={folder} does not exist, or can't be listed: name the tars, such as "
            f"{folder}/train-{{00000..00099}}.tar"
        ) from error
    if not found:
        raise DataError(f"data.root={folder} holds no .tar files: give a folder of WebDataset shards")
    return found


def _run_over(path: Path) -> Shard:
    """A tar on this machine without a manifest."""
    try:
        with open_regular(path) as file:
            index = index_tar(file)
    except FileNotFoundError:
        raise DataError(f"data.root names {path}, which does not exist: give the path of a .tar") from None
    except (tarfile.TarError, OSError) as error:
        raise _no_tar(str(path), error) from error
    return Shard(path, path.name, index)


def _no_tar(place: str, error: Exception) -> DataError:
    return DataError(f"{place} can't be read as a tar file ({first_line(error)}): make it again, uncompressed")


def _fetched(addresses: Sequence[str], cache: ShardCache) -> list[Shard]:
    """Tars of a store without a manifest."""
    with ThreadPoolExecutor(_REQUESTS) as pool:
        remotes = list(pool.map(_remote, addresses))
    known = all(map(cache.knows, remotes))
    shards = []
    for shard in remotes if known else tracked(remotes, "Fetching shards to list their photos"):
        index = cache.kept(shard, _index_contents, ShardIndex.parse)
        shards.append(Shard(shard, _parted(shard.address).name, index))
    return shards


def _index_contents(file: BinaryIO, address: str) -> bytes:
    try:
        return index_tar(file).dump()
    except (tarfile.TarError, OSError) as error:
        raise _no_tar(address, error) from error


def _remote(address: str) -> RemoteShard:
    try:
        details = remote.details(address)
    except FileNotFoundError as error:
        raise missing(address) from error
    size = details.get("size")
    said = (str(details[key]) for key in _VERSIONS if details.get(key))
    return RemoteShard(address, size, f"{size} {next(said, '')}")
