"""Transfers from stores that may belong to strangers: uncompressed, in chunks, and with a minimum rate."""

import asyncio
import time
from collections.abc import Callable

import aiohttp
import fsspec
from fsspec.asyn import sync
from fsspec.implementations.http import HTTPFileSystem

# Timeouts of a silent web server, in seconds. The total time of a download is not limited.
TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
# Maximum time until a response of a web server begins, in seconds.
ANSWER = 60
# Minimum rate of a web server in bytes per second, over this many seconds.
LEAST_RATE, WINDOW = 10_000, 60
_PIECE = 2**20


class SlowError(Exception):
    """A server is too slow."""


class CompressedError(Exception):
    """A server sends compressed data although it was asked not to: a small response could exhaust memory."""


def is_web(store: fsspec.AbstractFileSystem) -> bool:
    """Whether a store is a web server."""
    return isinstance(store, HTTPFileSystem)


def receive(store: fsspec.AbstractFileSystem, path: str, write: Callable[[bytes], object]) -> None:
    """Reads a file from a store.

    Args:
        store: the store.
        path: its path or URL there.
        write: called with each chunk; its exceptions end the transfer.

    Raises:
        SlowError: a web server sends less than `LEAST_RATE`.
        CompressedError: a web server sends compressed data.
        Exception: of the store or `write`.
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
                    raise SlowError(f"received {received} bytes in {passed:.0f} s")
                began, received = time.monotonic(), 0
