"""Photos that are in a collection more than once: the same pixels, or all but the same picture."""

from array import array
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image

# The hash has 64 bits: the signs of the 8 x 8 lowest frequencies of a 32 x 32 copy.
_SIDE = 32
_LOWEST = 8
BITS = _LOWEST * _LOWEST
# Mean difference of two appearances, in levels of 0..255, up to which they are of the same picture.
_SAME_APPEARANCE = 12.0
# Standard deviation of the gray copy, in levels of 0..255, below which there is nothing that a hash could hold fast.
_LEAST_CONTRAST = 3.0
_ONES = np.array([number.bit_count() for number in range(256)], dtype=np.uint8)


def perceptual_hash(rgb: Image.Image) -> int | None:
    """64 bits that stay mostly the same when a picture is scaled or compressed anew.

    The discrete cosine transform of a small gray copy, its lowest frequencies compared with their median (Zauner,
    "Implementation and benchmarking of perceptual image hash functions", 2010, section 3.2.1).

    Returns:
        None for a picture that is all but flat.
    """
    gray = np.asarray(rgb.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), dtype=np.float64)
    if gray.std() < _LEAST_CONTRAST:
        return None
    waves = _cosines()
    lowest = (waves @ gray @ waves.T).flatten()
    return int.from_bytes(np.packbits(lowest > np.median(lowest[1:])).tobytes(), "big")


@cache
def _cosines() -> np.ndarray:
    """The DCT-II of 32 samples, but for the scale of its rows: the 8 lowest frequencies, `(8, 32)`."""
    return np.cos(np.pi / _SIDE * np.outer(np.arange(_LOWEST), np.arange(_SIDE) + 0.5))


def appearance(rgb: Image.Image) -> np.ndarray:
    """A picture in 8 x 8 patches, uint8 `(8, 8, 3)`: tells pictures apart whose hashes are alike by chance."""
    return np.asarray(rgb.resize((8, 8), Image.Resampling.BILINEAR))


def same_pixels(digests: Sequence[bytes | None]) -> dict[int, int]:
    """For each item whose digest came before: the number of the first item that has it. None is like nothing."""
    first: dict[bytes, int] = {}
    return {
        number: first[digest]
        for number, digest in enumerate(digests)
        if digest is not None and first.setdefault(digest, number) != number
    }


def near_duplicates(hashes: Sequence[int | None], appearances: np.ndarray, most: int) -> dict[int, int]:
    """For each picture that is all but the same as an earlier one that stays: the number of that one.

    A picture stays unless it is like an earlier one that stays. A chain of pictures, each like the one before, such
    as the frames of a film, so does not shrink to its first.

    Hashes that differ in k bits agree in at least one of k + 1 bands of bits, so that a picture is only compared with
    those that share a band with it (Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index
    hashing", 2012).

    Args:
        hashes: N of `perceptual_hash`, in the order of preference.
        appearances: uint8 `(N, 8, 8, 3)`, see `appearance`.
        most: the most bits in which hashes may differ.
    """
    # Bits of a band lie apart: in the lowest frequencies alone, most photos are alike.
    bands = [sum(1 << bit for bit in range(start, BITS, most + 1)) for start in range(most + 1)]
    staying: dict[tuple[int, int], tuple[array[int], array[int]]] = {}
    found: dict[int, int] = {}
    for number, value in enumerate(hashes):
        if value is None:
            continue
        keys = [(mask, value & mask) for mask in bands]
        alike = {other for key in keys if key in staying for other in _near(value, *staying[key], most)}
        like = next((other for other in sorted(alike) if _same(appearances[number], appearances[other])), None)
        if like is not None:
            found[number] = like
            continue
        for key in keys:
            others, numbers = staying.setdefault(key, (array("Q"), array("Q")))
            others.append(value)
            numbers.append(number)
    return found


def _near(value: int, others: "array[int]", numbers: "array[int]", most: int) -> list[int]:
    """The numbers of those hashes that differ from `value` in `most` bits at the most."""
    differing = np.frombuffer(others, dtype=np.uint64) ^ np.uint64(value)
    ones = _ONES[differing.view(np.uint8)].reshape(-1, 8).sum(axis=1)
    return np.frombuffer(numbers, dtype=np.uint64)[ones <= most].tolist()


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return float(np.abs(one.astype(np.int16) - other).mean()) <= _SAME_APPEARANCE
