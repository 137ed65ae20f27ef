"""Finding picture files by their names."""

import os
from collections.abc import Iterator
from pathlib import Path

from colorization.imagefiles.heif import HEIF_SUFFIXES, IS_INSTALLED
from colorization.runtime.files import StrPath

FILM_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".3gp"}
)
# HEIF is passed over like any other file that can't be read.
SUFFIXES = (HEIF_SUFFIXES if IS_INSTALLED else frozenset()) | frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pnm", ".jp2", ".avif"}
)


def is_picture(name: str) -> bool:
    """Whether a file has the ending of a picture and is not hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not os.path.basename(name).startswith(".")


def is_film(path: StrPath) -> bool:
    """Whether a file has the ending of a film and is not hidden."""
    path = Path(path)
    return path.suffix.lower() in FILM_SUFFIXES and not path.name.startswith(".")


def find_pictures(folder: StrPath) -> list[str]:
    """Relative names of all pictures in a folder and its sub-folders, with `/`, sorted; ignores links to folders."""
    return list(walk_pictures(folder))


def walk_pictures(folder: StrPath) -> Iterator[str]:
    """As `find_pictures`, as an iterator: only the names of one folder are in memory."""
    return _walk(os.fspath(folder), "")


def holds_pictures(folder: StrPath) -> bool:
    """Whether there is a picture in a folder or a sub-folder; stops at the first one."""
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            elif is_picture(entry.name):
                return True
    return any(map(holds_pictures, below))


def _walk(folder: str, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        names = [
            f"{entry.name}/" if is_folder else entry.name
            for entry in entries
            if (is_folder := entry.is_dir(follow_symlinks=False)) or is_picture(entry.name)
        ]
    # With its slash, a folder sorts among the files beside it as the names in it sort among all names.
    for name in sorted(names):
        if name.endswith("/"):
            yield from _walk(f"{folder}/{name}", prefix + name)
        else:
            yield prefix + name
