"""Hashes of pictures, and the search for those that are alike."""

import random

import numpy as np
import pytest
from PIL import Image

from colorization.audit.duplicates import near_duplicates, perceptual_hash, same_pixels
from colorization.config.schemas import AuditThresholds
from colorization.data.sample import SampleDataModule
from tests.helpers.photos import compressed


def test_hash_survives_scaling_and_compression_and_tells_photos_apart() -> None:
    photos = SampleDataModule(size=32, batch_size=2).photos("all")
    assert photos is not None
    opened = [photos.open(index).convert("RGB").resize((400, 300)) for index in range(len(photos))]
    hashes = [perceptual_hash(photo) or 0 for photo in opened]
    for photo, value in zip(opened, hashes, strict=True):
        other = perceptual_hash(compressed(photo.resize((210, 160)), 60)) or 0
        assert (value ^ other).bit_count() <= AuditThresholds().near_duplicate
    assert min((a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]) > 8
    assert perceptual_hash(Image.new("RGB", (50, 50), "red")) is None


@pytest.mark.parametrize("most", [0, 3, 4, 10])
def test_near_duplicates_are_those_of_a_comparison_of_all_with_all(most: int) -> None:
    draw = random.Random(most)
    hashes: list[int | None] = [draw.getrandbits(64) for _ in range(60)]
    for _ in range(400):
        flipped = sum(1 << bit for bit in draw.sample(range(64), draw.randint(0, 8)))
        hashes.append((draw.choice(hashes) or 0) ^ flipped)
    hashes[7] = None
    appearances = np.zeros((len(hashes), 8, 8, 3), dtype=np.uint8)
    appearances[::5] = 200
    expected: dict[int, int] = {}
    for number, value in enumerate(hashes):
        for other in range(number):
            known = hashes[other]
            if value is None or known is None or other in expected:
                continue
            same = appearances[number, 0, 0, 0] == appearances[other, 0, 0, 0]
            if same and (value ^ known).bit_count() <= most:
                expected[number] = other
                break
    assert len(expected) > 20
    assert near_duplicates(hashes, appearances, most) == expected


def test_same_pixels() -> None:
    assert same_pixels([b"a", None, b"b", b"a", None, b"a"]) == {3: 0, 5: 0}
