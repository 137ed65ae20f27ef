"""Splits into training, validation and test photos: the same on every machine, also if photos are added."""

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from colorization.errors import ConfigError, DataError, did_you_mean

Split = Literal["train", "val", "test", "all"]

# Top-level folders, and their codes.
_NUMBERS: dict[str, int] = {"train": 0, "val": 1, "test": 2}
_ELSEWHERE = 3


def checked_split(name: str) -> Split:
    """The split of that name.

    Raises:
        ConfigError: there is none.
    """
    splits: tuple[Split, ...] = get_args(Split)
    for split in splits:
        if split == name:
            return split
    raise ConfigError(f"split={name} does not exist{did_you_mean(name, splits)}")


class Splits:
    """The splits of a list of photos: by top-level folder if `train` and `val` exist, otherwise by a hash of the name.
    `test` is the folder of that name.

    Args:
        names: of all photos, relative and with `/`, sorted. Iterated twice.
        val_share: share of names that is held out by the hash, 0..1.
    """

    def __init__(self, names: Sequence[str], val_share: float) -> None:
        tops = (_NUMBERS.get(name.partition("/")[0], _ELSEWHERE) if "/" in name else _ELSEWHERE for name in names)
        self.numbers = np.fromiter(tops, dtype=np.int8, count=len(names))
        self.by_folder = all((self.numbers == _NUMBERS[folder]).any() for folder in ("train", "val"))
        if not self.by_folder:
            self._hold_out(names, val_share)

    def _hold_out(self, names: Sequence[str], val_share: float) -> None:
        (rest,) = np.nonzero(self.numbers != _NUMBERS["test"])
        self.numbers[rest] = _NUMBERS["train"]
        if len(rest) < 2:
            return
        hashes = np.fromiter((name_hash(name) for name in names), dtype=np.float64, count=len(names))[rest]
        held_out = hashes < val_share
        held_out[hashes.argmin()] = True
        if held_out.all():
            held_out[hashes.argmax()] = False
        self.numbers[rest[held_out]] = _NUMBERS["val"]

    def indices(self, split: Split) -> np.ndarray | None:
        """The indices of a split's photos, int64, ascending.

        Returns:
            None for `test` if there is no such folder.

        Raises:
            DataError: there is only one photo.
        """
        if split == "all":
            return np.arange(len(self.numbers))
        if split == "test":
            return np.nonzero(self.numbers == _NUMBERS["test"])[0] if self.has_test else None
        if not self.by_folder and np.count_nonzero(self.numbers != _NUMBERS["test"]) < 2:
            raise DataError(
                "a single picture can't be split into training and validation: give two or more in data.root"
            )
        return np.nonzero(self.numbers == _NUMBERS[split])[0]

    @property
    def has_test(self) -> bool:
        """Whether there is a folder `test`."""
        return bool((self.numbers == _NUMBERS["test"]).any())

    @property
    def own_test(self) -> Split | None:
        """`test` or `val` if a top-level folder of this name exists; otherwise None."""
        if self.has_test:
            return "test"
        return "val" if self.by_folder else None


def checked_share(share: float) -> float:
    """Returns a valid `val_share`.

    Raises:
        ConfigError: it is out of range.
    """
    if not 0 < share < 1:
        raise ConfigError(f"data.val_share={share:g} is not a share: give a number between 0 and 1, for example 0.1")
    return share


def name_hash(name: str) -> float:
    """A hash of a name in 0..1, the same on every machine."""
    # macOS may use two code points for an accented letter, Linux one.
    spelled = unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(spelled).digest()[:8], "big") / 2**64
