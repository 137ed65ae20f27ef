"""Named sets of photos that publications score: which photos, and whether they are the right ones, by SHA-256."""

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from colorization.data.names import bare_name
from colorization.data.photos import Photos
from colorization.errors import ConfigError, DataError, first_names
from colorization.runtime.files import open_regular, write_csv

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BenchmarkPhotos:
    """The photos of a benchmark that were found.

    Attributes:
        indices: in the list of photos, in the order of the benchmark, int64.
        hashes: SHA-256 of each file by its name, in that order, hexadecimal.
        checked: whether they were compared with a list.
    """

    indices: np.ndarray
    hashes: dict[str, str]
    checked: bool

    @property
    def digest(self) -> str:
        """SHA-256 over all names and hashes: the same for all who scored the same files."""
        lines = "".join(f"{name} {digest}\n" for name, digest in self.hashes.items())
        return hashlib.sha256(lines.encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Writes the list that `benchmark.list` takes: a CSV file of `name` and `sha256`."""
        write_csv(path, ("name", "sha256"), self.hashes.items())


class Benchmark:
    """A named set of photos, found by their bare names in a folder of the user's. At most one of `names`, `photos` and
    `pattern` says which they are; `list` comes before all of them.

    Args:
        name: its name.
        source: who brings the photos, for messages.
        count: how many there are; None if only the list knows.
        names: the names for the numbers 1 to `count`, in Python's format.
        photos: SHA-256 and name of each, as `sha256sum` prints them.
        pattern: a regular expression of all their names.
        list: a file of names: CSV with the columns `name` and `sha256` (`photos.csv` of an earlier evaluation), or one
            name a line, of which the bare name of the first word counts.
    """

    def __init__(
        self,
        name: str,
        source: str,
        count: int | None = None,
        names: str | None = None,
        photos: list[str] | None = None,
        pattern: str | None = None,
        list: str | None = None,
    ) -> None:
        self.name = name
        self.source = source
        self.count = count
        self.names = names
        self.photos = photos
        self.pattern = pattern
        self.list = None if list is None else Path(list).expanduser()

    def find(self, photos: Photos) -> BenchmarkPhotos:
        """Finds the benchmark's photos, and compares them with its list.

        Raises:
            ConfigError: the list is needed, or can't be read.
            DataError: a photo is missing, there twice, or another file; or the photos are not files of their own.
        """
        wanted = self._wanted(photos)
        places: dict[str, list[int]] = {}
        for index in range(len(photos)):
            places.setdefault(bare_name(photos.name(index)), []).append(index)
        if missing := [name for name in wanted if name not in places]:
            raise DataError(
                f"benchmark={self.name} lacks {len(missing)} of its {len(wanted)} photos, {first_names(missing)}: "
                f"get them from {self.source}"
            )
        if twice := [name for name in wanted if len(places[name]) > 1]:
            raise DataError(
                f"benchmark={self.name} finds {len(twice)} photos more than once, {first_names(twice)}: "
                "give data.root= of a folder that holds each once"
            )
        indices = [places[name][0] for name in wanted]
        hashes = {name: _sha256(photos, index, self.name) for name, index in zip(wanted, indices, strict=True)}
        if wrong := [name for name, digest in wanted.items() if digest not in (None, hashes[name])]:
            raise DataError(
                f"benchmark={self.name}: {len(wrong)} of its {len(wanted)} photos are other files than those of the "
                f"list, {first_names(wrong)}: get them from {self.source}"
            )
        return BenchmarkPhotos(np.array(indices, dtype=np.int64), hashes, None not in wanted.values())

    def _wanted(self, photos: Photos) -> Mapping[str, str | None]:
        """SHA-256 by name, None where it is not known."""
        if self.list is not None:
            wanted = _read_list(self.list)
        elif self.photos is not None:
            wanted = {name: digest for digest, name in map(str.split, self.photos)}
        elif self.names is not None and self.count is not None:
            return {self.names.format(number): None for number in range(1, self.count + 1)}
        elif self.pattern is not None:
            names = (bare_name(photos.name(index)) for index in range(len(photos)))
            wanted = dict.fromkeys(sorted(name for name in names if re.fullmatch(self.pattern, name)))
        else:
            raise ConfigError(
                f"benchmark={self.name} needs the list of its photos: give benchmark.list=FILE from {self.source}"
            )
        if self.count is not None and len(wanted) != self.count:
            raise DataError(
                f"benchmark={self.name} has {self.count} photos, but {len(wanted)} are "
                f"{'there' if self.list is None else f'in {self.list}'}: get them from {self.source}"
            )
        return wanted


def _read_list(path: Path) -> dict[str, str | None]:
    try:
        with open_regular(path) as file:
            lines = file.read().decode("utf-8-sig").splitlines()  # Excel writes a mark at the beginning
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"benchmark.list={path} can't be read as text: give a list of names") from error
    found: dict[str, str | None] = {}
    if lines and lines[0].replace(" ", "") == "name,sha256":
        for row in csv.DictReader(lines):
            digest = (row["sha256"] or "").strip().lower()
            if not _SHA256.fullmatch(digest):
                raise ConfigError(f"benchmark.list={path}: the sha256 of {row['name']} is not 64 hexadecimal digits")
            found[row["name"]] = digest
    else:
        found = {bare_name(line.split()[0]): None for line in lines if line.strip()}
    if not found:
        raise ConfigError(f"benchmark.list={path} is empty: give a list of names")
    return found


def _sha256(photos: Photos, index: int, benchmark: str) -> str:
    path = photos.path(index)
    if path is None:
        raise DataError(f"benchmark={benchmark} checks the photos' files: give data=folder data.root=PHOTOS")
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"benchmark={benchmark}: {path} can't be read: {error.strerror}") from error
