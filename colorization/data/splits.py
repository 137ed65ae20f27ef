"""Which photos are learned from, and which are held out: the same on every machine, whatever else is added."""

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np

from colorization.data.datamodule import Split
from colorization.errors import ConfigError, DataError

# What a photo's top-level folder is called, and the number that stands for it below.
_NUMBERS: dict[str, int] = {"train": 0, "val": 1, "test": 2}
_ELSEWHERE = 3


class Splits:
    """The splits of a list of photos: by top-level folder where there are `train` and `val`, otherwise by a hash of the
    name. `test` is the folder of that name.

    Args:
        names: of all photos, relative and with `/`, sorted. Gone through twice.
        val_share: the share of names that hashing holds out, 0..1.
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
        """The numbers of a split's photos, int64, ascending.

        Returns:
            None for `test` without such a folder.

        Raises:
            DataError: a single photo can't be split.
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
        """`test` or `val`, if top-level folders of these names set photos apart for scoring; otherwise None."""
        if self.has_test:
            return "test"
        return "val" if self.by_folder else None


def checked_share(share: float) -> float:
    """A `val_share` that makes sense.

    Raises:
        ConfigError: it does not.
    """
    if not 0 < share < 1:
        raise ConfigError(f"data.val_share={share:g} is no share: give a number between 0 and 1, for instance 0.1")
    return share


def name_hash(name: str) -> float:
    """A name's place in 0..1, the same wherever and whenever it is asked for."""
    # macOS may spell an accented name in two code points where Linux has one.
    spelled = unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(spelled).digest()[:8], "big") / 2**64
