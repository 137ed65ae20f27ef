"""File names: millions of them in little memory, and without their folders."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import overload

import numpy as np

_CODING = ("utf-8", "surrogateescape")  # bytes of a name that are not UTF-8 survive


class Names(Sequence[str]):
    """Names as one block of bytes and the end of each name in it.

    A million strings are a million objects, 100 MB, which every loader process copies page by page, because reference
    counts are written (copy on write). A block needs the bytes of the names and 8 more for each, and stays shared.

    Args:
        names: iterated once.
    """

    def __init__(self, names: Iterable[str]) -> None:
        block = bytearray()
        ends = array("q")
        for name in names:
            block += name.encode(*_CODING)
            ends.append(len(block))
        self.block = bytes(block)
        self.ends = np.array(ends, dtype=np.int64)

    @classmethod
    def of_block(cls, block: bytes, ends: np.ndarray) -> "Names":
        """Names from an existing block.

        Args:
            block: the names in UTF-8, without separators.
            ends: the end of each name in the block, `(N,)`.

        Raises:
            ValueError: `ends` and `block` do not match.
        """
        if ends.ndim != 1 or not np.issubdtype(ends.dtype, np.integer):
            raise ValueError("the ends of names are not a list of integers")
        ends = ends.astype(np.int64)
        last = int(ends[-1]) if len(ends) else 0
        # Compare, don't subtract: differences may overflow.
        if last != len(block) or np.any(ends[:1] < 0) or np.any(ends[1:] < ends[:-1]):
            raise ValueError("names and their ends do not match")
        names = cls(())
        names.block, names.ends = block, ends
        return names

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        end = self.ends[index]  # an IndexError ends loops over a sequence
        start = self.ends[index - 1] if index % len(self) else 0
        return self.block[start:end].decode(*_CODING)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self.ends.data:
            yield self.block[start:end].decode(*_CODING)
            start = end


def bare_name(name: str) -> str:
    """A name with `/` without its folders."""
    return PurePosixPath(name).name
