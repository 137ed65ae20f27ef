"""One training for each run folder: a lock that ends with its process, and a note of who holds it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from lightning_utilities.core.rank_zero import rank_zero_only

from colorization.errors import ConfigError
from colorization.runtime.console import warn
from colorization.runtime.files import write_text

_LOCK, _HOLDER = ".lock", ".holder"
# Loader processes of a training that was killed hold its lock until they notice.
_SECONDS = 10.0


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Holds the lock of a run's folder. Only rank 0 takes it: the other ranks belong to the same training.

    Raises:
        ConfigError: another training holds it.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        yield
        return
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / _LOCK)
    try:
        lock.acquire(timeout=_SECONDS)
    except Timeout as error:
        raise ConfigError(
            f"hydra.run.dir={run} is in use by another training ({_holder(run)}): wait for it or stop it, or give "
            "another folder"
        ) from error
    except (NotImplementedError, OSError) as error:
        warn(f"{run} can't be locked ({error}): make sure that no other training uses it")
    try:
        if lock.is_locked:
            since = datetime.now().isoformat(sep=" ", timespec="seconds")
            write_text(run / _HOLDER, f"process {os.getpid()} on {socket.gethostname()}, since {since}")
        yield
    finally:
        (run / _HOLDER).unlink(missing_ok=True)
        lock.release()
        if not (run / "config.yaml").exists():  # a refused run leaves nothing
            (run / _LOCK).unlink(missing_ok=True)


def is_free(run: Path) -> bool:
    """Whether no training holds the lock of a run's folder; waits for the loader processes of one that was killed."""
    if not (run / _LOCK).exists():
        return True
    try:
        with FileLock(run / _LOCK, timeout=_SECONDS):
            return True
    except Timeout:
        return False


def _holder(run: Path) -> str:
    try:
        return (run / _HOLDER).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "its process is not known"
