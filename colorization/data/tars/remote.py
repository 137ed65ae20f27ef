"""Shards at URLs: on a web server, or in any store that fsspec supports."""

import errno
import html
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin

import aiohttp
import fsspec
from fsspec.callbacks import Callback

from colorization.data.tars.transfer import ANSWER, TIMEOUTS, CompressedError, is_web, receive
from colorization.errors import DataError, first_line

# Delays between retries, in seconds.
WAITS = (1.0, 4.0)
# The largest directory listing of a web server, in bytes: some 100,000 names.
_MOST_LISTING = 16 * 2**20

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
_SCHEMES = re.compile(r"^[A-Za-z0-9+.:-]+://")
_LINK = re.compile(r"""href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
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


def read(address: str, most: int) -> bytes:
    """The contents of a small file.

    Args:
        address: its URL.
        most: how many bytes it may have.

    Raises:
        FileNotFoundError: it does not exist, or is not public.
        DataError: the store can't be reached, or the file is larger.
    """
    return _persist(address, lambda store, path: _contents(store, path, most))


def _contents(store: fsspec.AbstractFileSystem, path: str, most: int) -> bytes:
    whole = bytearray()

    def write(piece: bytes) -> None:
        whole.extend(piece)
        if len(whole) > most:
            raise DataError(f"{path} is refused: it has more than {most / 2**20:.3g} MB")

    receive(store, path, write)
    return bytes(whole)


def details(address: str) -> dict[str, Any]:
    """A file's metadata in a store: `size`, and possibly an etag or a date.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the store can't be reached.
    """
    return _persist(address, lambda store, path: store.info(path, **({"timeout": ANSWER} if is_web(store) else {})))


def list_tars(folder: str) -> list[str]:
    """The URLs of the tar files in a folder, sorted.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: the store can't be reached, or has no directory listing.
    """

    def names(store: fsspec.AbstractFileSystem, path: str) -> list[str]:
        if is_web(store):
            page = _contents(store, path, _MOST_LISTING).decode(errors="replace")
            listed = [
                urljoin(f"{path.rstrip('/')}/", html.unescape(link)) for link in dict.fromkeys(_LINK.findall(page))
            ]
        else:
            listed = store.ls(path, detail=False, refresh=True)
        # A web page may link to other folders. A store may have several names, but lists only one of them.
        here = (name.rpartition("/") for name in listed if name.endswith(".tar"))
        return sorted(joined(folder, name) for where, _, name in here if where == path.rstrip("/"))

    return _persist(folder, names)


def fetch(address: str, target: Path, check: Callable[[Path], None], grow: Callable[[int], None]) -> None:
    """Copies a file from a store to this machine.

    Args:
        address: its URL.
        target: the local file, which is overwritten.
        check: raises `DamagedError` if the local file is corrupt.
        grow: is told before bytes are written how many they are with those before; what it raises ends the transfer.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the store can't be reached, the file is corrupt after every retry, or the disk is full.
    """

    def copy(store: fsspec.AbstractFileSystem, path: str) -> None:
        try:
            if is_web(store):
                with target.open("wb") as file:

                    def write(piece: bytes) -> None:
                        grow(file.tell() + len(piece))
                        file.write(piece)

                    receive(store, path, write)
            else:
                store.get_file(path, str(target), callback=_Growing(grow))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise DataError(
                f"{target.parent} has no room for {address}: make room, or set data.cache to another disk"
            ) from error
        check(target)

    _persist(address, copy)


class _Growing(Callback):
    """Tells how many bytes of a file have come.

    Args:
        grow: see `fetch`.
    """

    def __init__(self, grow: Callable[[int], None]) -> None:
        super().__init__()
        self.grow = grow

    def call(self, *_: Any, **__: Any) -> None:
        self.grow(int(self.value))


def _persist(address: str, action: Callable[[fsspec.AbstractFileSystem, str], _T]) -> _T:
    """Runs an action on a store, with retries.

    The store is opened again each time: fsspec's stores do not survive a fork.
    """
    options = {"timeout": TIMEOUTS} if address.startswith(("http://", "https://")) else {}
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
            if refused := _refusal(error):
                raise DataError(f"{address} is refused: {refused}; give the URL of the file itself") from error
            if _is_missing(error):
                raise FileNotFoundError(address) from error
            if wait is None:
                raise DataError(_sentence(address, error)) from error
            time.sleep(wait)
    raise AssertionError


def _refusal(error: Exception) -> str | None:
    """Why what a web server does is refused for good; None if another try may help."""
    for reason in (error, error.__cause__):
        if isinstance(reason, aiohttp.NonHttpUrlClientError | aiohttp.InvalidUrlClientError):
            return f"its server redirects to {str(reason)[:200]}, and only https:// and http:// are followed"
        if isinstance(reason, CompressedError):
            return f"{reason}, and shards, manifests and listings are fetched as they are"
    return None


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
