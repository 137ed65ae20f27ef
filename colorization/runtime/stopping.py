"""Ctrl-C while nothing is begun: words and an exit code, whatever library is being imported."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Ctrl-C inside ends the program with exit code 130. For imports, which may swallow a KeyboardInterrupt."""
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_default or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(*_: Any) -> None:
    os.write(2, b"Stopped\n")
    os._exit(130)
