"""Damaged picture files: read, or refused in words; nothing else, and no more memory than allowed."""

import io

import pytest

from colorization.imagefiles import read_picture
from tests.helpers.picture_fuzz import MAX_PIXELS, check, damaged, outcomes, seeds


def test_the_files_were_intact_before_corruption() -> None:
    sizes = [read_picture(io.BytesIO(content), MAX_PIXELS).size for content in seeds()[:-1]]
    assert set(sizes) <= {(24, 16), (16, 24)}


def test_damaged_files_are_read_or_refused() -> None:
    results = [check(damaged(number), number) for number in range(150)]
    assert {"read", "refused"} == set(results)


@pytest.mark.slow
def test_many_damaged_files_are_read_or_refused() -> None:
    assert [case for case, result, _ in outcomes(1000, 3000) if result == "surprise"] == []
