"""Files: regular ones alone are read, and any kind is written atomically. And the names that users type."""

import contextlib
import csv
import errno
import glob
import os
import re
import stat
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open can't be removed: no lock is needed
    fcntl = None  # type: ignore[assignment]

StrPath = str | os.PathLike[str]
# The names of unfinished files: of this version, and of 0.1.0 (with the process that wrote them).
_PART = re.compile(r"\.([0-9a-f]{32}|.+\.\d+)\.part(\.\w+)?")


def open_regular(path: StrPath) -> BinaryIO:
    """Opens a regular file for reading. A pipe would be waited for without end, and a device has no end.

    Raises:
        OSError: it is missing, may not be read, or is not a regular file.
    """
    _check_regular(Path(path).stat(), path)  # first: opening alone may move a tape
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    try:
        _check_regular(os.fstat(file.fileno()), path)  # it may have been replaced since
    except OSError:
        file.close()
        raise
    return file


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(status: os.stat_result, path: StrPath) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file, but a pipe or a device"
        raise OSError(errno.EINVAL, what, os.fspath(path))


@contextlib.contextmanager
def atomic_file(target: Path, *, sync: bool = False, backup: Path | None = None) -> Iterator[Path]:
    """An empty temporary file beside `target`, with its ending, that takes its place if all goes well and vanishes if
    not. It is locked as long as this process lives, so that `sweep` can tell what a killed process has left.

    Args:
        target: what is to be written; the folders above it are made.
        sync: put it on the disk before it takes its place, so that no power cut leaves an empty file.
        backup: where the file that it replaces is kept; None drops it.

    Raises:
        OSError: the folder can't be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name as long as a folder allows would not take an addition.
    temporary = target.with_name(f".{uuid.uuid4().hex}.part{target.suffix}")
    lock = _create_locked(temporary)
    try:
        yield temporary
        if sync:
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        if backup is not None and target.exists():
            target.replace(backup)
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def _create_locked(path: Path) -> int | None:
    """Creates a file and locks it; the lock ends with the descriptor that is returned, or with the process."""
    if fcntl is None:
        return None
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        if not _lock(descriptor):
            return descriptor
        with contextlib.suppress(FileNotFoundError):  # another process has swept it between creation and lock
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Whether the file could be locked: not while another process has it, nor where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep(folder: Path) -> None:
    """Removes what `atomic_file` has left in a folder where its process was killed. What can't be removed stays."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_unlocked(Path(entry.path))


def _remove_unlocked(path: Path) -> None:
    if fcntl is None:
        path.unlink()  # which fails while it is open
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if _lock(descriptor):
            path.unlink()
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str, *, sync: bool = False) -> None:
    """Writes a text file, atomically. Bytes of a file's name that are not UTF-8 survive."""
    with atomic_file(path, sync=sync) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]], *, sync: bool = False) -> None:
    """Writes a CSV file, atomically. Bytes of a file's name that are not UTF-8 survive."""
    with atomic_file(path, sync=sync) as temporary:
        append_csv(temporary, header, rows)


def append_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Adds rows to a CSV file, which is begun with a header if it is not there, or empty."""
    is_new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerows([header] if is_new else [])
        writer.writerows(rows)


def expand(name: str) -> Path:
    """A path; a leading `~` means the home folder, unless a file is called so."""
    path = Path(name)
    try:
        return path if os.path.lexists(path) else path.expanduser()
    except RuntimeError:  # there is no such user
        return path


def matching(pattern: str) -> list[str]:
    """The names that match a pattern as a shell has it: `*`, `?`, `[abc]`, and `**` for folders at any depth."""
    return sorted(glob.glob(str(expand(pattern)), recursive=True))  # noqa: PTH207 (pathlib's finds hidden files as well)
