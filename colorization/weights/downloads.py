"""Published files of weights, downloaded once into torch's cache."""

import socket
from pathlib import Path

import torch

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
