"""The order in which shards are visited: few of them are needed at a time, and no photo comes twice."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colorization.data.photos import SelectedPhotos
from colorization.data.tars.photos import ShardPhotos
from colorization.data.tars.shuffle import Blocks
from colorization.errors import PictureError
from tests.helpers.shards import everything, module
from tests.helpers.stores import Web

COUNTS = [(1,), (7,), (3, 4, 5), (5, 1, 1, 9, 2), (10,) * 6, (1,) * 12]


def blocks_of(counts: tuple[int, ...], buffer: int) -> Blocks:
    return Blocks(np.repeat(np.arange(len(counts)), counts), buffer)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("shares", [1, 2, 3])
@pytest.mark.parametrize("buffer", [1, 4, 1000])
def test_ranks_get_equally_many_photos_and_none_twice(counts: tuple[int, ...], shares: int, buffer: int) -> None:
    total = sum(counts)
    for seed in range(5):
        orders = [blocks_of(counts, buffer).order(seed, shares, share) for share in range(shares)]
        again = [blocks_of(counts, buffer).order(seed, shares, share) for share in range(shares)]
        assert all(np.array_equal(one, other) for one, other in zip(orders, again, strict=True))
        if total < shares:
            assert [len(order) for order in orders] == [1] * shares
            continue
        assert [len(order) for order in orders] == [total // shares] * shares
        every = np.concatenate(orders)
        assert len(set(every.tolist())) == len(every)
        assert set(every.tolist()) <= set(range(total))


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("window", [1, 2, 5, 9, 30])
def test_no_window_needs_more_shards_than_said(counts: tuple[int, ...], window: int) -> None:
    blocks = blocks_of(counts, 1)  # each photo in the order of its shard
    bound = blocks.most_at_once(window)
    for seed in range(20):
        numbers = blocks.shards[blocks.order(seed, 1, 0)]
        for start in range(max(len(numbers) - window, 0) + 1):
            assert len(set(numbers[start : start + window].tolist())) <= bound <= len(counts)


def test_blocks_are_shuffled_and_so_are_shards() -> None:
    blocks = blocks_of((10,) * 10, 20)
    orders = [blocks.order(seed, 1, 0) for seed in range(50)]
    # Which shards are in the first block differs, and so does which of its photos comes first.
    assert len({frozenset((order[:20] // 10).tolist()) for order in orders}) > 20
    assert len({int(order[0]) for order in orders}) > 20
    for order in orders:
        for start in range(0, 100, 20):
            assert len(set((order[start : start + 20] // 10).tolist())) == 2
    places = np.array([np.argsort(order) for order in orders])
    assert np.abs(places.mean(axis=0) - 49.5).max() < 20  # each photo comes everywhere


def test_a_selection_keeps_the_blocks_of_its_shards(shards: Path) -> None:
    data = module(str(shards), buffer=3)
    whole = everything(data)
    chosen = SelectedPhotos(whole, range(1, len(whole), 2))
    order = chosen.order(7, 2, 1)
    assert list(chosen.visit(order)) == order.tolist()
    blocks = chosen.blocks()
    assert blocks is not None
    assert blocks.buffer == 3
    of_each = [chosen.name(index).split("/")[0] for index in range(len(chosen))]
    assert all(
        (of_each[i] == of_each[j]) == (blocks.shards[i] == blocks.shards[j]) for i, j in itertools.pairwise(range(20))
    )


def test_another_photo_of_the_same_shard_stands_in(shards: Path, web: Web) -> None:
    data = module(f"{web.url}/shards", buffer=5)
    data.setup("fit")
    dataset = data._datasets["train"]
    photos = dataset.photos
    bad = 7
    shard = photos.name(bad).split("/")[0]
    original = ShardPhotos.open

    def fails(self: ShardPhotos, index: int) -> Any:
        if self.name(index) == photos.name(bad):
            raise PictureError("is not there")
        return original(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardPhotos, "open", fails)
        stand_ins = Counter(dataset[bad]["name"].split("/")[0] for _ in range(10))
    assert set(stand_ins) == {shard}
