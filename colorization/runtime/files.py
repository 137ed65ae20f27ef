"""Files: atomic writes, and the names that users type."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

_PART = ".part"


def unfinished(folder: Path) -> list[Path]:
    """What `whole_file` has left in a folder where the program was killed."""
    return list(folder.glob(f".*{_PART}*"))


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary file beside `target`, with its ending, that takes its place if all goes well and vanishes if not.

    Args:
        target: what is to be written; the folders above it are made.

    Raises:
        OSError: the folder can't be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}{_PART}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


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
