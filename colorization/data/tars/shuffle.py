"""An order in which photos are visited shard by shard, shuffled within blocks: few shards are needed at a time."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Blocks:
    """How photos lie in shards, and how far they may be shuffled.

    Attributes:
        shards: the number of the shard that each photo is in, `(N,)`.
        buffer: how many photos, one behind the other, are shuffled among each other.
    """

    shards: np.ndarray
    buffer: int

    def order(self, seed: int, shares: int, share: int) -> np.ndarray:
        """The photos that one of several processes visits in an epoch.

        The shards are shuffled, and with their photos one behind the other cut into `shares` equal stretches. Each
        process has a stretch, and so shards of its own but for those at the cuts; in it, each block of `buffer` photos
        is shuffled. No photo comes twice, and all but fewer than `shares` come.

        Args:
            seed: another one gives another order.
            shares: of how many processes.
            share: which of them, from 0.

        Returns:
            Numbers of `N // shares` photos, int64; with fewer photos than shares, one number.
        """
        random = np.random.default_rng(seed)
        present, numbers = np.unique(self.shards, return_inverse=True)
        place_of_shard = random.permutation(len(present))
        order = np.argsort(place_of_shard[numbers], kind="stable")
        order = order if len(order) >= shares else np.resize(order, shares)
        each = len(order) // shares
        order = order[share * each : (share + 1) * each]
        random = np.random.default_rng((seed, share))
        for start in range(0, each, self.buffer):
            random.shuffle(order[start : start + self.buffer])
        return order

    def most_at_once(self, window: int) -> int:
        """The most shards that any `window` photos, one behind the other in an order, can lie in."""
        counts = np.sort(np.unique(self.shards, return_counts=True)[1])
        # At the worst, the window begins with the last photo of a shard and goes through the smallest ones.
        whole = int(np.searchsorted(np.cumsum(counts), window - 1, side="left")) + 1
        return min(whole + 1, len(counts))
