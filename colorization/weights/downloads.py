"""Published files of weights, downloaded once into torch's cache."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

import torch

from colorization.runtime.files import atomic_file

# Timeout of a silent server, in seconds.
_PATIENCE = 15


def cached(url: str) -> Path:
    """The path of a URL in torch's cache, as used by torchvision."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def download(url: str) -> Path:
    """The local path of a file whose name ends in `-HASH`, downloaded if necessary.

    Raises:
        OSError: there is no network connection, the server does not have the file, or the disk is full.
        RuntimeError: the hash of the download differs from the one in its name.
    """
    path = cached(url)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_PATIENCE)
        try:
            with _broken_answers_as_oserrors():
                torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.split("-")[-1])
        finally:
            socket.setdefaulttimeout(before)
    return path


def fetch(url: str, sha256: str, most: int) -> Path:
    """The local path of a file, downloaded into torch's cache if it is not there yet.

    Args:
        url: `https://` or `http://`.
        sha256: of the file, 64 hexadecimal digits, which are verified.
        most: a longer file is refused, in bytes.

    Raises:
        OSError: there is no network connection, the server does not have the file, or the disk is full.
        ValueError: the file is longer, or has another SHA-256; it is not kept.
    """
    path = Path(torch.hub.get_dir()) / "colorization" / f"{sha256[:16]}-{Path(urlsplit(url).path).name}"
    if path.is_file():
        return path
    with atomic_file(path, sync=True) as part:
        with _broken_answers_as_oserrors():
            found = _receive(url, part, most)
        if found != sha256:
            raise ValueError(f"the file has the SHA-256 {found}, and {sha256} is expected")
    return path


def _receive(url: str, path: Path, most: int) -> str:
    """Writes what a server sends into a file, and returns its SHA-256."""
    digest, length = hashlib.sha256(), 0
    with build_opener(_WebOnly()).open(url, timeout=_PATIENCE) as answer, path.open("wb") as file:
        while piece := answer.read(2**20):
            length += len(piece)
            if length > most:
                raise ValueError(f"the file has more than {most // 2**20} MB")
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


@contextmanager
def _broken_answers_as_oserrors() -> Iterator[None]:
    """Turns errors of the protocol into OSErrors, which urllib's other errors are."""
    try:
        yield
    except HTTPException as error:
        raise OSError(f"the server's answer is broken ({error!r})") from error


class _WebOnly(HTTPRedirectHandler):
    """Follows redirects to web servers only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("https", "http"):
            raise OSError(f"a redirect leads to {urlsplit(newurl).scheme}:")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
