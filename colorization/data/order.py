"""The order of training photos: a function of seed and epoch.

The photos of a step depend neither on the number of loader processes nor on how often the run was stopped: the order
and every photo's random crop are drawn from the seed, the epoch and the photo's index only. The global batch (batch
size times world size) decides which photos are in a step.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import DistributedSampler

from colorization.data.photos import Draw, PhotoDataset


class Position(NamedTuple):
    """The position of a training run: the epoch, and the number of its batches that are done."""

    epoch: int
    batches: int


class TrainingSampler(DistributedSampler[Draw]):
    """The training photos of one rank in an epoch.

    Every rank gets the same number of photos, each photo at most once. The incomplete last batch is dropped, with other
    photos in each epoch: it would give its photos more weight. If the photos do not fill a single batch, they make a
    smaller one; if there are fewer photos than ranks, some are repeated.

    Args:
        dataset: the photos.
        batch_size: per rank.
        seed: of the run.
        position: returns the position of the run when an iterator is made; an interrupted epoch resumes there.
        world_size: number of processes.
        rank: this process, from 0.
    """

    def __init__(
        self,
        dataset: PhotoDataset,
        batch_size: int,
        seed: int,
        position: Callable[[], Position],
        world_size: int = 1,
        rank: int = 0,
    ) -> None:
        # With this base class, Lightning does not replace the sampler.
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=True, seed=seed)
        self.photos = dataset.photos
        self.batch_size = batch_size
        self.position = position
        per_rank = len(self.photos) // world_size
        self.num_samples = per_rank // batch_size * batch_size or max(per_rank, 1)

    def __iter__(self) -> Iterator[Draw]:
        epoch, batches = self.position()
        order = self.photos.order(_mixed(self.seed, epoch), self.num_replicas, self.rank)
        seeds = np.random.default_rng([self.seed, epoch, 1]).integers(2**63, size=len(self.photos))
        for photo in self.photos.visit(order[batches * self.batch_size : self.num_samples]):
            yield Draw(photo, int(seeds[photo]))


def _mixed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])
