"""Shards at addresses: on a web server, or in any store that fsspec knows."""

import errno
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import fsspec

from colorization.errors import DataError, first_line

# How long to wait after a failure before the next try, in seconds.
WAITS = (1.0, 4.0)
# How long a server may keep silent, in seconds. A whole shard may take as long as it takes.
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
_SCHEMES = re.compile(r"^[A-Za-z0-9+.:-]+://")
_T = TypeVar("_T")


class DamagedError(Exception):
    """A file that is not what it should be."""


def is_command(root: str) -> bool:
    """Whether a root is a shell command, as other programs run them for shards; none is run here."""
    return root.startswith("pipe:") or "|" in root


def is_address(root: str) -> bool:
    """Whether a root is an address such as `https://...`, not a path on this machine."""
    return _ADDRESS.match(root) is not None


def lowered(address: str) -> str:
    """The address with its scheme in small letters: `HTTP://` is `http://`."""
    return _SCHEMES.sub(lambda match: match[0].lower(), address)


def joined(folder: str, name: str) -> str:
    """The address of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def read(address: str) -> bytes:
    """The contents of a small file.

    Raises:
        FileNotFoundError: there is no such file, or none that everyone may read.
        DataError: the store can't be reached.
    """
    return _persist(address, lambda store, path: store.cat_file(path))


def details(address: str) -> dict[str, Any]:
    """What a store says of a file without sending it: `size`, and perhaps an etag or a date.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the store can't be reached.
    """
    return _persist(address, lambda store, path: store.info(path))


def list_tars(folder: str) -> list[str]:
    """The addresses of the tar files in a folder, sorted.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: the store can't be reached, or keeps no lists.
    """

    def names(store: fsspec.AbstractFileSystem, path: str) -> list[str]:
        listed = store.ls(path, detail=False, refresh=True)
        # A web page may name files that lie elsewhere. A store may have several names, and tells only one of them.
        here = (name.rpartition("/") for name in listed if name.endswith(".tar"))
        return sorted(joined(folder, name) for where, _, name in here if where == path.rstrip("/"))

    return _persist(folder, names)


def fetch(address: str, target: Path, check: Callable[[Path], None]) -> None:
    """Copies a file from a store to this machine.

    Args:
        address: where it is.
        target: the local file, which is overwritten.
        check: raises `DamagedError` if the local file is not what it should be.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the store can't be reached, what came is damaged again and again, or there is no room for it.
    """

    def copy(store: fsspec.AbstractFileSystem, path: str) -> None:
        try:
            store.get_file(path, str(target))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise DataError(
                f"{target.parent} has no room for {address}: make room, or give data.cache a folder on another disk"
            ) from error
        check(target)

    _persist(address, copy)


def _persist(address: str, action: Callable[[fsspec.AbstractFileSystem, str], _T]) -> _T:
    """Does something with a store, again if need be.

    The store is opened anew each time: fsspec's can't be taken along into a forked process.
    """
    options = {"timeout": _PATIENCE} if address.startswith(("http://", "https://")) else {}
    try:
        store, path = fsspec.url_to_fs(address, **options)
    except ImportError as error:
        raise DataError(f"{address} needs a package that is not installed: {first_line(error)}") from error
    except ValueError as error:
        raise DataError(
            f"data.root={address} can't be opened ({first_line(error)}): give for instance https://..., "
            "s3://..., or a path"
        ) from error
    for wait in (*WAITS, None):
        try:
            return action(store, path)
        except DataError:
            raise
        except Exception as error:  # each store raises what it likes
            if _is_missing(error):
                raise FileNotFoundError(address) from error
            if wait is None:
                raise DataError(_sentence(address, error)) from error
            time.sleep(wait)
    raise AssertionError


def _is_missing(error: Exception) -> bool:
    """Whether a store says that there is no such file, or none for us: a public bucket that keeps no lists forbids what
    it does not have.
    """
    if any(getattr(reason, "status", None) in (403, 404, 410) for reason in (error, error.__cause__)):
        return True
    # fsspec calls a page missing, too, whose server does not answer.
    is_network = isinstance(error.__cause__, aiohttp.ClientError | TimeoutError)
    return isinstance(error, FileNotFoundError | PermissionError) and not is_network


def _sentence(address: str, error: Exception) -> str:
    if isinstance(error, DamagedError):
        return f"{address} is damaged: {error}; make the shards anew, or copy them once more"
    return (
        f"{address} can't be fetched ({type(error).__name__}: {first_line(error)}): see to the network and the "
        "address, then give the same command again"
    )
