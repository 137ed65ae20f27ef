"""The order of training: each photo once, shared out evenly, the same however it is loaded and wherever it begins."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from colorization.data.dataset import Draw, PhotoDataset, collate
from colorization.data.order import Position, TrainingSampler
from tests.helpers.photos import MadePhotos


def draws(
    photos: int, batch_size: int, processes: int = 1, process: int = 0, seed: int = 0, epoch: int = 0, batches: int = 0
) -> list[Draw]:
    dataset = PhotoDataset(MadePhotos(photos), 16, augment=True)
    sampler = TrainingSampler(dataset, batch_size, seed, lambda: Position(epoch, batches), processes, process)
    drawn = list(sampler)
    if batches == 0:
        assert len(drawn) == len(sampler)
    return drawn


counts = {"photos": st.integers(1, 60), "batch_size": st.integers(1, 7), "processes": st.integers(1, 5)}


@settings(deadline=None)
@given(**counts, epoch=st.integers(0, 3))
def test_all_processes_get_equally_many_and_no_photo_twice(
    photos: int, batch_size: int, processes: int, epoch: int
) -> None:
    shares = [draws(photos, batch_size, processes, process, epoch=epoch) for process in range(processes)]
    assert len({len(share) for share in shares}) == 1
    seen = [draw.photo for share in shares for draw in share]
    if photos >= processes:
        assert len(seen) == len(set(seen))
    if photos >= batch_size * processes:
        assert len(shares[0]) % batch_size == 0
        assert photos - len(seen) < batch_size * processes
    else:
        assert len(shares[0]) == max(photos // processes, 1)


@settings(deadline=None)
@given(**counts)
def test_processes_together_learn_what_one_would(photos: int, batch_size: int, processes: int) -> None:
    """A step of several processes sees the photos, and the cuts, of one process's step with the same global batch."""
    if photos < batch_size * processes:
        return
    one = draws(photos, batch_size * processes)
    shares = [draws(photos, batch_size, processes, process) for process in range(processes)]
    for step in range(len(one) // (batch_size * processes)):
        together = {draw for share in shares for draw in share[step * batch_size : (step + 1) * batch_size]}
        assert together == set(one[step * batch_size * processes : (step + 1) * batch_size * processes])


@settings(deadline=None)
@given(**counts, batches=st.integers(0, 5))
def test_an_interrupted_epoch_resumes_with_the_rest(photos: int, batch_size: int, processes: int, batches: int) -> None:
    whole = draws(photos, batch_size, processes)
    assert draws(photos, batch_size, processes, batches=batches) == whole[batches * batch_size :]


def test_epochs_and_seeds_differ() -> None:
    orders = [draws(50, 5, seed=seed, epoch=epoch) for seed in range(2) for epoch in range(2)]
    for one, other in itertools.combinations(orders, 2):
        assert [draw.photo for draw in one] != [draw.photo for draw in other]
        assert {draw.seed for draw in one}.isdisjoint(draw.seed for draw in other)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_cuts_do_not_depend_on_who_loads(workers: int) -> None:
    dataset = PhotoDataset(MadePhotos(12), 16, augment=True, crop_scale=(0.3, 1.0))
    sampler = TrainingSampler(dataset, 4, 0, lambda: Position(0, 0))
    torch.manual_seed(workers)
    loaded = torch.cat(
        [batch["rgb"] for batch in DataLoader(dataset, 4, sampler=sampler, num_workers=workers, collate_fn=collate)]
    )
    expected = torch.stack([dataset[draw]["rgb"] for draw in sampler])
    assert torch.equal(loaded, expected)


def test_a_draw_leaves_other_random_numbers_alone() -> None:
    dataset = PhotoDataset(MadePhotos(3), 16, augment=True)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    dataset[Draw(1, 5)]
    assert torch.equal(torch.rand(3), expected)
