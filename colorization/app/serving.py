"""How the page is served, without PyTorch."""

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class Serving:
    """How the page is served.

    Attributes:
        host: the address to listen on.
        port: the port; 0 for any that is free.
        auth: name and password, or None.
        max_upload_mb: of all files that are dropped at once.
        max_resolution: the highest that visitors may choose.
        queue: how many jobs may wait.
        keep_minutes: how long files of a visitor who does nothing are kept.
        framed_by: who may show the page in a frame, in the words of a Content-Security-Policy.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    auth: tuple[str, str] | None = None
    max_upload_mb: int = 200
    max_resolution: int = 1024
    queue: int = 20
    keep_minutes: float = 60
    framed_by: str = "'none'"


def is_local(host: str) -> bool:
    """Whether an address is this machine's own, which others can't reach."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
