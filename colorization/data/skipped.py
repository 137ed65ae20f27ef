"""Photos that are left out, because they can't be read or have no colour."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from colorization.errors import DataError
from colorization.runtime.files import append_csv


class Skipped(NamedTuple):
    """A skipped photo of a split."""

    split: str
    name: str
    reason: str
    unreadable: bool


class SkippedPhotos:
    """Counts and lists skipped photos, without repetition.

    Args:
        max_unreadable: share of a split's photos that may be unreadable.
        path: a CSV file, created with the first skipped photo; None for none. Rank 0 writes it.
    """

    def __init__(self, max_unreadable: float, path: Path | None) -> None:
        self.max_unreadable = max_unreadable
        self.path = path
        self.found: dict[str, Skipped] = {}

    @property
    def unreadable(self) -> set[str]:
        return {name for name, skip in self.found.items() if skip.unreadable}

    @property
    def colorless(self) -> set[str]:
        return {name for name, skip in self.found.items() if not skip.unreadable}

    def add(self, skipped: Iterable[Skipped]) -> None:
        """Adds skipped photos."""
        fresh = {skip.name: skip for skip in skipped if skip.name not in self.found}
        self.found |= fresh
        self._list(list(fresh.values()))

    def check(self, photos: Mapping[str, int]) -> None:
        """Checks each split by itself. `photos` is the number of photos in each.

        Raises:
            DataError: too many are unreadable.
        """
        for split, total in photos.items():
            names = [skip.name for skip in self.found.values() if skip.unreadable and skip.split == split]
            if len(names) > self.max_unreadable * total:
                which = "" if split == "all" else f"{split} "
                where = f", listed in {self.path}" if self.path else f", for example {names[0]}"
                raise DataError(
                    f"{len(names)} of {total} {which}pictures can't be read{where}: repair or remove them, or raise "
                    f"data.max_unreadable={self.max_unreadable:g}"
                )

    @rank_zero_only
    def _list(self, skipped: Collection[Skipped]) -> None:
        if not skipped or self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_csv(self.path, ("name", "why"), ((skip.name, skip.reason) for skip in skipped))

    def gather(self) -> None:
        """Gathers the skipped photos of all ranks. All ranks have to call it."""
        if not torch.distributed.is_available() or not torch.distributed.is_initialized():
            return
        gathered: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(gathered, self.found)
        everything = {name: skip for found in gathered for name, skip in found.items()}
        self._list([skip for name, skip in everything.items() if name not in self.found])
        self.found = everything

    def summary(self) -> str | None:
        """One line for the end of a run; None if no photo was skipped."""
        if not self.found:
            return None
        where = f"; listed in {self.path}" if self.path else ""
        return f"{len(self.unreadable)} unreadable and {len(self.colorless)} colourless pictures left out{where}"
