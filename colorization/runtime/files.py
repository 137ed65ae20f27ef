"""Files: atomic writes of any kind, and the names that users type."""

import contextlib
import csv
import glob
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

StrPath = str | os.PathLike[str]
_PART = ".part"


def unfinished(folder: Path) -> list[Path]:
    """What `atomic_file` has left in a folder where the program was killed."""
    return list(folder.glob(f".*{_PART}*"))


@contextlib.contextmanager
def atomic_file(target: Path, *, sync: bool = False, backup: Path | None = None) -> Iterator[Path]:
    """A temporary file beside `target`, with its ending, that takes its place if all goes well and vanishes if not.

    Args:
        target: what is to be written; the folders above it are made.
        sync: put it on the disk before it takes its place, so that no power cut leaves an empty file.
        backup: where the file that it replaces is kept; None drops it.

    Raises:
        OSError: the folder can't be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name as long as a folder allows would not take an addition.
    temporary = target.with_name(f".{uuid.uuid4().hex}{_PART}{target.suffix}")
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


def write_text(path: Path, text: str, *, sync: bool = False) -> None:
    """Writes a text file, atomically. Bytes of a file's name that are not UTF-8 survive."""
    with atomic_file(path, sync=sync) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]], *, sync: bool = False) -> None:
    """Writes a CSV file, atomically. Bytes of a file's name that are not UTF-8 survive."""
    with atomic_file(path, sync=sync) as temporary:
        append_csv(temporary, header, rows)


def append_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Adds rows to a CSV file, which is begun with a header if it is not there."""
    is_new = not path.exists()
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
