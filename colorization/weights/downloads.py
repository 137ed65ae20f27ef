"""Published files of weights, downloaded once into torch's cache."""

import hashlib
import socket
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
        OSError: there is no network connection (urllib's errors are OSErrors), or the disk is full.
        RuntimeError: the hash of the download differs from the one in its name.
    """
    path = cached(url)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_PATIENCE)
        try:
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
    digest, length = hashlib.sha256(), 0
    opener = build_opener(_WebOnly())
    with opener.open(url, timeout=_PATIENCE) as answer, atomic_file(path, sync=True) as part, part.open("wb") as file:
        while piece := answer.read(2**20):
            length += len(piece)
            if length > most:
                raise ValueError(f"the file has more than {most // 2**20} MB")
            digest.update(piece)
            file.write(piece)
        file.flush()
        if digest.hexdigest() != sha256:
            raise ValueError(f"the file has the SHA-256 {digest.hexdigest()}, and {sha256} is expected")
    return path


class _WebOnly(HTTPRedirectHandler):
    """Follows redirects to web servers only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("https", "http"):
            raise OSError(f"a redirect leads to {urlsplit(newurl).scheme}:")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
