"""Shards at URLs: on a web server, or in any store that fsspec supports."""

import errno
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import fsspec

from colorization.errors import DataError, first_line

# Delays between retries, in seconds.
WAITS = (1.0, 4.0)
# Timeouts of a silent server, in seconds. The total time of a download is not limited.
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
_SCHEMES = re.compile(r"^[A-Za-z0-9+.:-]+://")
_T = TypeVar("_T")


class DamagedError(Exception):
    """A corrupt file."""


def is_command(root: str) -> bool:
    """Whether a root is a shell command (WebDataset's `pipe:`), which is refused."""
    return root.startswith("pipe:") or "|" in root


def is_address(root: str) -> bool:
    """Whether a root is a URL such as `https://...`, not a path on this machine."""
    return _ADDRESS.match(root) is not None


def lowered(address: str) -> str:
    """The URL with its scheme in lower case: `HTTP://` is `http://`."""
    return _SCHEMES.sub(lambda match: match[0].lower(), address)


def joined(folder: str, name: str) -> str:
    """The URL or path of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def read(address: str) -> bytes:
    """The contents of a small file.

    Raises:
        FileNotFoundError: it does not exist, or is not public.
        DataError: the store can't be reached.
    """
    return _persist(address, lambda store, path: store.cat_file(path))


def details(address: str) -> dict[str, Any]:
    """A file's metadata in a store: `size`, and possibly an etag or a date.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the store can't be reached.
    """
    return _persist(address, lambda store, path: store.info(path))


def list_tars(folder: str) -> list[str]:
    """The URLs of the tar files in a folder, sorted.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: the store can't be reached, or has no directory listing.
    """

    def names(store: fsspec.AbstractFileSystem, path: str) -> list[str]:
        listed = store.ls(path, detail=False, refresh=True)
        # A web page may link to other folders. A store may have several names, but lists only one of them.
        here = (name.rpartition("/") for name in listed if name.endswith(".tar"))
        return sorted(joined(folder, name) for where, _, name in here if where == path.rstrip("/"))

    return _persist(folder, names)


def fetch(address: str, target: Path, check: Callable[[Path], None]) -> None:
    """Copies a file from a store to this machine.

    Args:
        address: its URL.
        target: the local file, which is overwritten.
        check: raises `DamagedError` if the local file is corrupt.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the store can't be reached, the file is corrupt after every retry, or the disk is full.
    """

    def copy(store: fsspec.AbstractFileSystem, path: str) -> None:
        try:
            store.get_file(path, str(target))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise DataError(
                f"{target.parent} has no room for {address}: make room, or set data.cache to another disk"
            ) from error
        check(target)

    _persist(address, copy)


def _persist(address: str, action: Callable[[fsspec.AbstractFileSystem, str], _T]) -> _T:
    """Runs an action on a store, with retries.

    The store is opened again each time: fsspec's stores do not survive a fork.
    """
    options = {"timeout": _PATIENCE} if address.startswith(("http://", "https://")) else {}
    try:
        store, path = fsspec.url_to_fs(address, **options)
    except ImportError as error:
        raise DataError(f"{address} needs a package that is not installed: {first_line(error)}") from error
    except ValueError as error:
        raise DataError(
            f"data.root={address} can't be opened ({first_line(error)}): give for example https://..., "
            "s3://..., or a path"
        ) from error
    for wait in (*WAITS, None):
        try:
            return action(store, path)
        except DataError:
            raise
        except Exception as error:  # each store raises its own exceptions
            if _is_missing(error):
                raise FileNotFoundError(address) from error
            if wait is None:
                raise DataError(_sentence(address, error)) from error
            time.sleep(wait)
    raise AssertionError


def _is_missing(error: Exception) -> bool:
    """Whether a store reports a missing file. S3 answers 403 for it if the bucket can't be listed."""
    if any(getattr(reason, "status", None) in (403, 404, 410) for reason in (error, error.__cause__)):
        return True
    # fsspec also raises FileNotFoundError if a server does not answer.
    is_network = isinstance(error.__cause__, aiohttp.ClientError | TimeoutError)
    return isinstance(error, FileNotFoundError | PermissionError) and not is_network


def _sentence(address: str, error: Exception) -> str:
    if isinstance(error, DamagedError):
        return f"{address} is corrupt: {error}; make or copy the shards again"
    return (
        f"{address} can't be fetched ({type(error).__name__}: {first_line(error)}): check the network and the "
        "URL, then repeat the command"
    )
