"""The order in which training goes through photos: a function of seed and epoch, whoever loads them.

What a step learns from depends neither on how many loader processes there are nor on how often the run was stopped:
the order and every photo's random cut are drawn from the seed, the epoch and the photo's number alone. Only the global
batch (the batch size times the number of processes) has a say in which photos meet in a step.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import DistributedSampler

from colorization.data.photos import Draw, PhotoDataset


class Position(NamedTuple):
    """Where a training run stands: an epoch's number, and how many of its batches are done."""

    epoch: int
    batches: int


class TrainingSampler(DistributedSampler[Draw]):
    """What one process learns from in an epoch.

    Every process gets equally many photos, each photo at most once. What fills no whole batch in all processes is left
    out, another part in each epoch: a short last batch would weigh its photos more than the others. Photos that do not
    even fill one batch make a short one; if they are fewer than the processes, some are repeated.

    Args:
        dataset: the photos.
        batch_size: on each process.
        seed: of the run.
        position: says where the run stands, when an iterator is made. Of an epoch that is begun, the rest follows.
        processes: how many learn together.
        process: which one this is, from 0.
    """

    def __init__(
        self,
        dataset: PhotoDataset,
        batch_size: int,
        seed: int,
        position: Callable[[], Position],
        processes: int = 1,
        process: int = 0,
    ) -> None:
        # The base class makes Lightning leave this sampler as it is.
        super().__init__(dataset, num_replicas=processes, rank=process, shuffle=True, seed=seed)
        self.photos = dataset.photos
        self.batch_size = batch_size
        self.position = position
        share = len(self.photos) // processes
        self.num_samples = share // batch_size * batch_size or max(share, 1)

    def __iter__(self) -> Iterator[Draw]:
        epoch, batches = self.position()
        order = self.photos.order(_mixed(self.seed, epoch), self.num_replicas, self.rank)
        seeds = np.random.default_rng([self.seed, epoch, 1]).integers(2**63, size=len(self.photos))
        for photo in self.photos.visit(order[batches * self.batch_size : self.num_samples]):
            yield Draw(photo, int(seeds[photo]))


def _mixed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])
