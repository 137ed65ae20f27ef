"""Hostile checkpoints that keep their structure; more: `python -m tests.helpers.checkpoint_fuzz 20000`."""

from pathlib import Path

import pytest

from tests.helpers.checkpoint_fuzz import case, outcomes, surprise


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.long)])
def test_nothing_but_sentences(count: int, tmp_path: Path) -> None:
    ends = []
    for number, outcome in outcomes(range(count), tmp_path):
        ends.append(outcome.ended)
        assert surprise(outcome, tmp_path) is None, number
    assert len(ends) == count
    assert {"returned", "raised CheckpointError"} <= set(ends)


def test_a_case_is_the_same_each_time() -> None:
    assert [case(number) for number in range(8)] == [case(number) for number in range(8)]
