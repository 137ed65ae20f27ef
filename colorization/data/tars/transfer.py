"""Bytes from a store that may be a stranger's: uncompressed, no more than the reader takes, and not drop by drop."""

import asyncio
import time
from collections.abc import Callable

import aiohttp
import fsspec
from fsspec.asyn import sync
from fsspec.implementations.http import HTTPFileSystem

# Timeouts of a silent web server, in seconds. The total time of a download is not limited.
TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
# How long a web server may take until a response begins, in seconds.
ANSWER = 60
# A web server that sends fewer bytes a second than this, over so many seconds, is given up.
LEAST_RATE, WINDOW = 10_000, 60
_PIECE = 2**20


class SlowError(Exception):
    """A server that sends hardly anything."""


class CompressedError(Exception):
    """A server that compresses what it sends, though it was asked not to: a small answer could fill the memory."""


def is_web(store: fsspec.AbstractFileSystem) -> bool:
    """Whether a store is a web server."""
    return isinstance(store, HTTPFileSystem)


def receive(store: fsspec.AbstractFileSystem, path: str, write: Callable[[bytes], object]) -> None:
    """Reads a file from its beginning to its end.

    Args:
        store: where it is.
        path: its path or URL there.
        write: is given one piece after the other; what it raises ends the transfer.

    Raises:
        SlowError: a web server sends less than `LEAST_RATE`.
        CompressedError: a web server sends something compressed.
        Exception: whatever the store or `write` raises.
    """
    if is_web(store):
        sync(store.loop, _receive_from_web, store, path, write)
        return
    with store.open(path, "rb") as file:
        while piece := file.read(_PIECE):
            write(piece)


async def _receive_from_web(store: HTTPFileSystem, path: str, write: Callable[[bytes], object]) -> None:
    session = await store.set_session()
    headers = {**store.kwargs.get("headers", {}), "Accept-Encoding": "identity"}
    async with asyncio.timeout(ANSWER):
        response = await session.get(store.encode_url(path), **{**store.kwargs, "headers": headers})
    async with response:
        response.raise_for_status()
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise CompressedError(f"it is sent with Content-Encoding: {encoding[:40]}")
        began, received = time.monotonic(), 0
        async for piece in response.content.iter_any():
            write(piece)
            received += len(piece)
            passed = time.monotonic() - began
            if passed >= WINDOW:
                if received < LEAST_RATE * passed:
                    raise SlowError(f"{received} bytes came in {passed:.0f} s")
                began, received = time.monotonic(), 0
