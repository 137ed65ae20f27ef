"""Files that others publish, downloaded once into torch's cache."""

import socket
from pathlib import Path

import torch

# How long a server may keep silent, in seconds.
_PATIENCE = 15


def cached(url: str) -> Path:
    """Where the file of a URL is once it is downloaded, as torchvision keeps it."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def download(url: str) -> Path:
    """The local path of a file whose name ends in `-HASH`, downloaded if it is not there yet.

    Raises:
        OSError: there is no network (urllib's errors are among these), or no space.
        RuntimeError: what came is not what the name says.
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
