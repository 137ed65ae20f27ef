"""Reading regular files only, atomic writes, and file names on the command line."""

import contextlib
import csv
import errno
import glob
import os
import re
import stat
import uuid
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where an open file can't be removed: no lock is needed
    fcntl = None  # type: ignore[assignment]

StrPath = str | os.PathLike[str]
# Names of unfinished files, of this version and of 0.1.0 (with the id of the process).
_PART = re.compile(r"\.([0-9a-f]{32}|.+\.\d+)\.part(\.\w+)?")


def open_regular(path: StrPath) -> BufferedReader:
    """Opens a regular file for reading. A pipe could block forever, and a device may have no end.

    Raises:
        OSError: it is missing, may not be read, or is not a regular file.
    """
    _check_regular(Path(path).stat(), path)  # first: opening a device may have side effects
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
    """Atomic write: an empty temporary file beside `target`, with its ending, which replaces `target` on success and is
    removed on failure. It is locked while this process lives, so that `sweep` recognizes leftovers of killed processes.

    Args:
        target: the file to write; its folders are created.
        sync: flush it to the disk before the rename, so that a power cut leaves no empty file.
        backup: where the replaced file is kept; None drops it.

    Raises:
        OSError: the folder can't be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not derived from the name, which may have the maximum length.
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
    """Creates and locks a file; closing the returned descriptor, or the end of the process, releases the lock."""
    if fcntl is None:
        return None
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        if not _lock(descriptor):
            return descriptor
        with contextlib.suppress(FileNotFoundError):  # another process may have removed it before the lock
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Locks a file; False if another process holds the lock, or if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep(folder: Path) -> None:
    """Removes leftovers of `atomic_file` in a folder, from killed processes. Files that can't be removed stay."""
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
    """Writes a text file atomically. Bytes of file names that are not UTF-8 survive."""
    with atomic_file(path, sync=sync) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]], *, sync: bool = False) -> None:
    """Writes a CSV file atomically. Bytes of file names that are not UTF-8 survive."""
    with atomic_file(path, sync=sync) as temporary:
        append_csv(temporary, header, rows)


def append_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Appends rows to a CSV file; writes the header first if the file is new or empty."""
    is_new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerows([header] if is_new else [])
        writer.writerows(rows)


def expand(name: str) -> Path:
    """A path; a leading `~` means the home folder, unless a file has that name."""
    path = Path(name)
    try:
        return path if os.path.lexists(path) else path.expanduser()
    except RuntimeError:  # unknown user
        return path


def matching(pattern: str) -> list[str]:
    """The names that match a shell pattern: `*`, `?`, `[abc]`, and `**` for folders at any depth."""
    return sorted(glob.glob(str(expand(pattern)), recursive=True))  # noqa: PTH207 (pathlib's finds hidden files as well)
