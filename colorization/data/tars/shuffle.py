"""Shuffling with a buffer: photos are read shard by shard, so that few shards are needed at a time."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Blocks:
    """The shards of photos, and the size of the shuffle buffer.

    Attributes:
        shards: the index of each photo's shard, `(N,)`.
        buffer: size of the shuffle buffer, in photos.
    """

    shards: np.ndarray
    buffer: int

    def order(self, seed: int, world_size: int, rank: int) -> np.ndarray:
        """The photos of one rank in an epoch.

        The shards are shuffled, and the sequence of their photos is cut into `world_size` equal stretches, one per
        rank; a shard at a boundary goes to both ranks. In a stretch, each block of `buffer` photos is shuffled. No
        photo comes twice, and fewer than `world_size` are left out.

        Args:
            seed: of the epoch.
            world_size: number of processes.
            rank: this process, from 0.

        Returns:
            Indices of `N // world_size` photos, int64; with fewer photos than ranks, one index.
        """
        random = np.random.default_rng(seed)
        present, numbers = np.unique(self.shards, return_inverse=True)
        place_of_shard = random.permutation(len(present))
        order = np.argsort(place_of_shard[numbers], kind="stable")
        order = order if len(order) >= world_size else np.resize(order, world_size)
        each = len(order) // world_size
        order = order[rank * each : (rank + 1) * each]
        random = np.random.default_rng((seed, rank))
        for start in range(0, each, self.buffer):
            random.shuffle(order[start : start + self.buffer])
        return order

    def most_at_once(self, window: int) -> int:
        """The maximum number of shards of any `window` consecutive photos in an order."""
        counts = np.sort(np.unique(self.shards, return_counts=True)[1])
        # Worst case: the window begins with the last photo of a shard and continues with the smallest shards.
        whole = int(np.searchsorted(np.cumsum(counts), window - 1, side="left")) + 1
        return min(whole + 1, len(counts))
