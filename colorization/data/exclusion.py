"""Lists of photos to leave out: CSV files with a column `name`, as written by audits and training runs."""

import csv
import io
from pathlib import Path

import numpy as np

from colorization.data.photos import Photos, SelectedPhotos
from colorization.errors import DataError, shown
from colorization.runtime.console import warn
from colorization.runtime.files import open_regular

_OPTION = "data.exclude"


class Exclusion:
    """A list of names, matched with the photos of a source. It does not change the split of the other photos.

    Args:
        path: a CSV file with a column `name`, in UTF-8. Other columns are ignored.

    Raises:
        DataError: it is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = frozenset(read_names(path))
        self._checked = False

    def without(self, photos: Photos) -> Photos:
        """The photos that are not on the list."""
        kept = (photos.name(i) not in self.names for i in range(len(photos)))
        return SelectedPhotos(photos, np.nonzero(np.fromiter(kept, dtype=bool, count=len(photos)))[0])

    def check(self, photos: Photos | None, source: str) -> None:
        """Warns, once, of names on the list that match no photo.

        Args:
            photos: all photos of the source.
            source: its name in messages.

        Raises:
            DataError: no name matches a photo.
        """
        if self._checked or photos is None or not self.names:
            return
        unknown = self.names.difference(photos.name(i) for i in range(len(photos)))
        example = shown(min(unknown, default=""))
        if len(unknown) == len(self.names):
            raise DataError(
                f"{_OPTION}={self.path} matches no photo of {source}; its first name is {example}: give a list made "
                "for these photos, by an audit with the same data.root"
            )
        if unknown:
            warn(
                f"{_OPTION}={self.path}: {len(unknown)} of its {len(self.names)} names match no photo of {source}, "
                f"for example {example}"
            )
        self._checked = True


def read_names(path: Path) -> list[str]:
    """The column `name` of a CSV file. Bytes of a name that are not UTF-8 survive.

    Raises:
        DataError: the file is missing, or is not such a table.
    """
    try:
        # utf-8-sig: Excel writes a byte order mark before the header.
        with io.TextIOWrapper(open_regular(path), "utf-8-sig", "surrogateescape", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, [])
            if "name" not in header:
                raise DataError(
                    f"{_OPTION}={path} has no column called name: give a CSV file such as the exclude.csv of an audit"
                )
            column = header.index("name")
            names = []
            for row in rows:
                if len(row) != len(header):
                    raise DataError(
                        f"{_OPTION}={path}, line {rows.line_num}: {len(row)} columns instead of {len(header)}; put a "
                        "name with a comma between double quotes"
                    )
                names.append(row[column])
            return names
    except csv.Error as error:
        raise DataError(f"{_OPTION}={path}, line {rows.line_num}: not CSV ({error}); write the list again") from error
    except OSError as error:
        raise DataError(f"{_OPTION}={path} can't be read ({error.strerror}): give a CSV file") from error
