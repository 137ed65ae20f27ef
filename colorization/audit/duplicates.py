"""Duplicates in a dataset: the same pixels, or nearly the same picture."""

from array import array
from collections.abc import Sequence

import imagehash
import numpy as np
from PIL import Image

# The hash has one bit for each of the 8 x 8 lowest frequencies of a 32 x 32 copy.
_SIDE = 32
BITS = 64
# Maximum mean difference of two appearances of the same picture, in levels of 0..255.
_SAME_APPEARANCE = 12.0
# Minimum standard deviation of the gray copy for a hash, in levels of 0..255.
_LEAST_CONTRAST = 3.0
_ONES = np.array([number.bit_count() for number in range(256)], dtype=np.uint8)


def perceptual_hash(rgb: Image.Image) -> int | None:
    """A hash of 64 bits, most of which stay the same if a picture is scaled or recompressed: `imagehash.phash`.

    Returns:
        None for a nearly uniform picture.
    """
    gray = rgb.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    return None if np.asarray(gray).std() < _LEAST_CONTRAST else int(str(imagehash.phash(gray)), 16)


def appearance(rgb: Image.Image) -> np.ndarray:
    """A picture in 8 x 8 patches, uint8 `(8, 8, 3)`: tells apart pictures with similar hashes by chance."""
    return np.asarray(rgb.resize((8, 8), Image.Resampling.BILINEAR))


def same_pixels(digests: Sequence[bytes | None]) -> dict[int, int]:
    """For each item with the digest of an earlier one: the index of the first such item. None matches nothing."""
    first: dict[bytes, int] = {}
    return {
        number: first[digest]
        for number, digest in enumerate(digests)
        if digest is not None and first.setdefault(digest, number) != number
    }


def near_duplicates(hashes: Sequence[int | None], appearances: np.ndarray, most: int) -> dict[int, int]:
    """For each picture that is nearly the same as an earlier one that stays: the index of that one.

    A picture stays unless it is nearly the same as an earlier one that stays. So a chain of similar pictures, such as
    the frames of a film, is not reduced to its first.

    Hashes that differ in k bits agree in at least one of k + 1 bands of bits, so that a picture is only compared with
    pictures that share a band (Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index
    hashing", 2012).

    Args:
        hashes: N of `perceptual_hash`, in the order of preference.
        appearances: uint8 `(N, 8, 8, 3)`, see `appearance`.
        most: maximum Hamming distance.
    """
    # Interleaved bits: most photos agree in the lowest frequencies.
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
    """The numbers of the hashes within a Hamming distance of `most` from `value`."""
    differing = np.frombuffer(others, dtype=np.uint64) ^ np.uint64(value)
    ones = _ONES[differing.view(np.uint8)].reshape(-1, 8).sum(axis=1)
    return np.frombuffer(numbers, dtype=np.uint64)[ones <= most].tolist()


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return float(np.abs(one.astype(np.int16) - other).mean()) <= _SAME_APPEARANCE
